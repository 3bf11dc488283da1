"""Where a vassal's config lies, and how a touch of it reaches the Emperor."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.uwsgi import ini
from uwsgi_reload_hook.uwsgi.known_options import is_set, known_options

__all__ = [
    "NOFOLLOW",
    "Touchable",
    "config_path",
    "may_exist",
    "may_subscribe",
    "nofollow",
    "open_as",
    "read_bytes",
    "read_text",
    "touch",
    "touchable",
    "vassal_options",
]

NOFOLLOW = "emperor-nofollow"


LONGEST = 1 << 20
"""Bytes of a config: the longest that was ever seen has some thousand lines."""


@dataclass(frozen=True, slots=True)
class Touchable:
    """The path to touch, and what stands in the way; `problem` empty = nothing."""

    path: str
    may_set_mtime: bool
    problem: str = ""
    also: str = ""
    """Another path to touch, as it is not known which of the two the Emperor looks at; empty = none."""


def config_path(id_: str, monitor: str, emperor_cwd: str, emperor_path: str | None) -> str:
    """Make the path of a vassal's config of its id.

    A scanned directory gives file names, and the Emperor's stats name the directory in full; a glob gives paths, from
    the directory that the Emperor was started in (core/emperor.c).
    """
    for directory in (emperor_path, monitor):
        if directory and Path(directory).is_dir():
            return str(Path(directory, id_))
    return str(Path(emperor_cwd, id_))


def may_exist(path: str) -> bool:
    """Whether there is a file or link, or that cannot be told: what may not be looked at is not gone."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def touchable(path: str, last_mod: int, others: Iterable[str], by_options: bool | None = None) -> Touchable:
    """Tell how to touch a config of which the Emperor has seen the mtime `last_mod`, in whole seconds.

    With `emperor-nofollow` the Emperor looks at a symlink's own mtime, else at its target's. `by_options` is what its
    options say, None = not known. A target is touched only if none of the `others` leads to it, or all would reload.
    Where it is not known what the Emperor looks at both ends are touched: it takes no notice of the other one.
    """
    try:
        link = os.lstat(path)
        target = Path(path).stat() if stat.S_ISLNK(link.st_mode) else link
    except OSError as error:
        return Touchable(path, may_set_mtime=False, problem=f"its config {path} cannot be read: {error.strerror}")
    looks_at_link = _looks_at_link(link, target, last_mod, by_options)
    others = [other for other in others if other != path]
    if looks_at_link:
        shared = _leading_to(link, others, os.lstat) if link.st_nlink > 1 else []
        return _refused(path, path, shared) if shared else Touchable(path, _owns(link))
    sharing = _leading_to(target, others, os.stat)
    if target is link:
        return _refused(path, path, sharing) if sharing else Touchable(path, _owns(link))
    real = os.path.realpath(path)
    seems_to_follow = by_options is None and _second(target) == last_mod != _second(link)
    if looks_at_link is None and not (sharing and seems_to_follow):
        return _both(path, link, real, target, shared=bool(sharing))
    return _refused(path, real, sharing) if sharing else Touchable(real, _owns(target))


def _leading_to(status: os.stat_result, others: Iterable[str], look: Callable[[str], os.stat_result]) -> list[str]:
    """Those of the `others` that are the same file by another name, link or hard link."""
    found = []
    for other in others:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(look(other), status):
                found.append(other)
    return sorted(found)


def _refused(path: str, touched: str, sharing: Sequence[str]) -> Touchable:
    """A touch would reach the vassals of all the configs `sharing` one file, and reload them at once."""
    problem = (
        f"its config {path} is the same file as {sharing[0]} ({touched}): a touch would reload their vassals at once; "
        "set emperor-nofollow on the Emperor and make the others symlinks, or give each vassal a file of its own"
    )
    return Touchable(path, may_set_mtime=False, problem=problem)


def _both(path: str, link: os.stat_result, real: str, target: os.stat_result, *, shared: bool) -> Touchable:
    """Touch both ends of a symlink, or the link alone where the target is others' too, or not ours to touch."""
    if shared or not (_owns(target) or os.access(real, os.W_OK)):
        return Touchable(path, _owns(link))
    return Touchable(path, _owns(link) and _owns(target), also=real)


def _looks_at_link(link: os.stat_result, target: os.stat_result, last_mod: int, by_options: bool | None) -> bool | None:
    """Whether the Emperor looks at a symlink itself, by its options and by which mtime it has seen; None = not known.

    The mtimes tell nothing by themselves: both may be alike, or another one, made in one second, back-dated by an
    archive, or seen at a SIGHUP. The options tell nothing where the mtimes contradict, because the config was edited
    since they were read.
    """
    seen_link, seen_target = _second(link) == last_mod, _second(target) == last_mod
    if link is target:
        return by_options is not False
    if seen_link is seen_target or by_options is seen_link:
        return by_options
    return None


def _second(status: os.stat_result) -> int:
    return status.st_mtime_ns // 1_000_000_000  # st_mtime is a float, and rounds the end of a second up to the next


def _owns(status: os.stat_result) -> bool:
    """Whether this process may set any mtime: others who may write can only set it to now (utimensat(2))."""
    return os.geteuid() in {0, status.st_uid}


def nofollow(emperor: int, directory: str) -> bool | None:
    """Whether the Emperor that is the process `emperor` looks at symlinks themselves, by its options; None = not known.

    `directory` is where it was started.
    """
    environment = processes.environment(emperor)
    if environment is None:
        return None
    arguments = processes.command_line(emperor)
    found = known_options(arguments, directory, environment, read_text, {NOFOLLOW})
    if found is None or "emperor" not in found:  # each Emperor has one: this is not its command line
        return None
    return is_set(found, NOFOLLOW)


def vassal_options(pid: int, config: str) -> ini.Found:
    """The options that a vassal's ini holds, as its process sees them; not `complete` where not all can be read."""
    environment = processes.environment(pid) or {}
    return ini.options(["uwsgi", "--ini", config], str(Path(config).parent), environment, read_text)


def may_subscribe(config: str) -> bool:
    """Whether a vassal's config subscribes it to a router, or leads to another file that may; so it may if unknown."""
    text = read_text(config)
    if text is None:
        return True
    lines = (line for line in text.splitlines() if not line.lstrip().startswith((";", "#")))
    return _SUBSCRIBES.search("\n".join(lines)) is not None


_SUBSCRIBES = re.compile(
    r"(?<!un)subscri|^[ \t]*(st|ini|include|inherit\S*|yaml|yml|xml|json|config)[ \t]*[=:]", re.MULTILINE
)


def read_text(path: str) -> str | None:
    """A regular file's text, None if it cannot be read, is anything else, or has more than 1 MiB."""
    data = read_bytes(path)
    return None if data is None else os.fsdecode(data)  # what matters in it are paths


def read_bytes(path: str) -> bytes | None:
    """What a regular file holds, None if it cannot be read, is anything else, or has more than 1 MiB."""
    try:
        with open(open_as(path, lambda found: stat.S_ISREG(found.st_mode), os.O_RDONLY), "rb") as file:
            data = file.read(LONGEST + 1)
    except OSError:
        return None
    return data if len(data) <= LONGEST else None


def open_as(path: str, is_right: Callable[[os.stat_result], bool], flags: int) -> int:
    """Open a file whose name a tenant has chosen, if it is what is wanted. Raises OSError.

    A FIFO blocks whoever opens it to read, a device may act on being opened, and neither has an end. So the file is
    looked at before it is opened, by a descriptor that only names it (O_PATH): nobody can put another one in its place
    meanwhile.
    """
    try:
        named = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except ValueError as error:  # no file can have this name
        raise OSError(errno.EINVAL, str(error)) from None
    try:
        if not is_right(os.fstat(named)):
            raise OSError(errno.EINVAL, "it is another file")
        # Nor is a lease waited for, nor does a terminal become that of this process.
        return os.open(f"/proc/self/fd/{named}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(named)


def touch(path: str, mtime: int | None) -> None:
    """Set the mtime of `path` itself, never of what it links to; None = now. Raises OSError."""
    try:
        os.utime(path, None if mtime is None else (mtime, mtime), follow_symlinks=False)
    except OverflowError:  # whoever owns a config may give it the last second there is
        words = f"no later mtime than {mtime} can be set; set it to now by `touch`, and restart the Emperor"
        raise OSError(errno.EOVERFLOW, words) from None
