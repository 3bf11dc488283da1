"""The config of a vassal: its path, its text, and which mtime the Emperor reads."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Touchable",
    "config_path",
    "may_exist",
    "open_as",
    "read_bytes",
    "touch",
    "touchable",
]


LONGEST = 1 << 20
"""Bytes of a config that are read: the longest known ones have some thousand lines."""


@dataclass(frozen=True, slots=True)
class Touchable:
    """The path to touch for the reload of one vassal."""

    path: str
    may_set_mtime: bool
    """False = this process can set the mtime to now only, because it does not own the file."""
    problem: str = ""
    """Why a touch cannot work; empty = it can."""
    also: str = ""
    """A second path to touch, because it is not known which of the two the Emperor reads; empty = none."""


def config_path(
    id_: str, monitor: str, emperor_cwd: str, emperor_path: str | None, monitors: Sequence[str] = ()
) -> str:
    """The path of the config of the vassal with this id.

    The id is a file name in a scanned directory, which the Emperor's stats give in full. Of a glob it is a path, from
    the directory where the Emperor was started (core/emperor.c). `monitor` is that of the vassal, empty = not known;
    then the first of the Emperor's `monitors` that has the file is meant, because the Emperor scans them in this order.
    `emperor_path` stands for the only directory, which may be another one here; of several it may be one.
    """
    scanned = [monitor] if monitor else [*monitors]
    if emperor_path and Path(emperor_path).is_dir():
        scanned = [emperor_path] if len(monitors) <= 1 else [*scanned, emperor_path]
    paths = [str(Path(emperor_cwd, one, id_)) for one in scanned if Path(emperor_cwd, one).is_dir()]
    if not (monitor and paths):
        paths.append(str(Path(emperor_cwd, id_)))
    return next(filter(may_exist, paths), paths[0])


def may_exist(path: str) -> bool:
    """Whether a path exists, as a file or a symlink, or cannot be read: an unreadable config is not a removed one."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def touchable(path: str, last_mod: int, others: Iterable[str], by_options: bool | None = None) -> Touchable:
    """Find what to touch for a config of which the Emperor has read the mtime `last_mod`, in whole seconds.

    With `emperor-nofollow` the Emperor reads a symlink's own mtime, else its target's. `by_options` says which, by the
    Emperor's options; None = not known. Then both ends are touched, because the Emperor ignores the other one. A target
    that one of the `others` shares is not touched, because all their vassals would be reloaded at once.
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
    """Those of the `others` that lead to the same file, by a symlink or a hard link."""
    same = []
    for other in others:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(look(other), status):
                same.append(other)
    return sorted(same)


def _refused(path: str, touched: str, sharing: Sequence[str]) -> Touchable:
    """Refuse a touch that would reload at once the vassals of all configs that share one file."""
    problem = (
        f"its config {path} is the same file as {sharing[0]} ({touched}): a touch would reload their vassals at once; "
        "set emperor-nofollow on the Emperor and make the others symlinks, or give each vassal a file of its own"
    )
    return Touchable(path, may_set_mtime=False, problem=problem)


def _both(path: str, link: os.stat_result, real: str, target: os.stat_result, *, shared: bool) -> Touchable:
    """Touch both ends of a symlink, or the link alone if others share the target, or this user may not touch it."""
    if shared or not (_owns(target) or os.access(real, os.W_OK)):
        return Touchable(path, _owns(link))
    return Touchable(path, _owns(link) and _owns(target), also=real)


def _looks_at_link(link: os.stat_result, target: os.stat_result, last_mod: int, by_options: bool | None) -> bool | None:
    """Whether the Emperor reads a symlink's own mtime, by its options and the mtime that it has read; None = not known.

    The mtimes prove nothing alone, because a link and its target may have the same one, and because an archive or a
    SIGHUP can change which of them the Emperor has read. The options prove nothing against the mtimes, because the
    Emperor's config may have been edited since its start.
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
    """Whether this process may set any mtime, because a user who does not own the file can set it to now only."""
    return os.geteuid() in {0, status.st_uid}


def read_bytes(path: str) -> bytes | None:
    """The bytes of a regular file; None if it cannot be read, or has more than 1 MiB."""
    try:
        with open(open_as(path, lambda status: stat.S_ISREG(status.st_mode), os.O_RDONLY), "rb") as file:
            data = file.read(LONGEST + 1)
    except OSError:
        return None
    return data if len(data) <= LONGEST else None


def open_as(path: str, is_right: Callable[[os.stat_result], bool], flags: int) -> int:
    """Open a file whose path a tenant has chosen, if `is_right` accepts its status. Raises OSError.

    To open a FIFO may block, and to open a device may act. So the status is read before, through a descriptor that only
    names the file (O_PATH), so that nobody can exchange the file in between.
    """
    try:
        named = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error)) from None
    try:
        if not is_right(os.fstat(named)):
            raise OSError(errno.EINVAL, "it is another kind of file")
        # O_NONBLOCK so that a lease does not block; O_NOCTTY so that a terminal does not become that of this process.
        return os.open(f"/proc/self/fd/{named}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(named)


def touch(path: str, mtime: int | None) -> None:
    """Set the mtime of `path` itself, even if it is a symlink; None = now. Raises OSError."""
    try:
        os.utime(path, None if mtime is None else (mtime, mtime), follow_symlinks=False)
    except OverflowError:  # a tenant may have set the last mtime there is
        words = f"no later mtime than {mtime} can be set; set it to now by `touch`, and restart the Emperor"
        raise OSError(errno.EOVERFLOW, words) from None
