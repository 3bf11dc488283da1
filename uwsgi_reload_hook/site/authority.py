"""The identity of an Emperor, and the processes that may act for it.

Processes of root, of the Emperor's user and of this process's user may act. So may a process of a vassal whose config
makes it a hook, whatever its user, if only trusted users can change that config. A process that cannot be read may not
act.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.option_sources import from_environment, from_uwsgi_opt
from uwsgi_reload_hook.paths import walk
from uwsgi_reload_hook.settings import OPTIONS
from uwsgi_reload_hook.site import process_options, processes
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.users import user
from uwsgi_reload_hook.uwsgi import stats

__all__ = [
    "Authority",
    "Emperor",
    "from_arguments",
    "identify",
    "is_kept",
    "options_of_hook",
    "own_users",
    "person",
    "vassal_of",
]

ROOT = 0
_DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Emperor:
    """The identity of an Emperor, which stays the same when it restarts."""

    name: str
    """A directory or glob that the Emperor scans, for an operator."""
    identity: str
    """32 hexadecimal digits: all hooks of one Emperor compute the same ones."""


def identify(emperor_stats: stats.EmperorStats) -> Emperor:
    """Make the identity of the Emperor with these stats out of everything that it scans.

    A directory counts by its device and inode. A glob has neither, so it counts by its pattern and by the root
    directory's device and inode, because each container has another root directory.

    Raises ConfigError where a scanned directory cannot be read. Raises it also where the Emperor is in another network
    namespace, because hooks there cannot see this one's lock.
    """
    if processes.shares_network(emperor_stats.pid) is False:
        raise ConfigError(
            f"the Emperor, pid {emperor_stats.pid}, lives in another network namespace, where hooks cannot see this "
            f"one's lock; start it there: nsenter --net --target {emperor_stats.pid} …"
        )
    known = {_known(monitor, emperor_stats.cwd): monitor for monitor in emperor_stats.monitors}
    directories = sorted(monitor for one, monitor in known.items() if one.startswith(_DIRECTORY))
    name = Path(emperor_stats.cwd, next(iter(directories or sorted(known.values())), ""))
    digest = hashlib.sha256(os.fsencode("\0".join(sorted(known)))).hexdigest()
    return Emperor(str(name), digest[:32])


def _known(monitor: str, cwd: str) -> str:
    if "://" in monitor:
        return monitor
    path = os.path.normpath(Path(cwd, monitor))
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat raises ValueError of a path that no file can have
    except (FileNotFoundError, NotADirectoryError):
        status = None
    except OSError as error:
        raise ConfigError(
            f"the Emperor's {path} cannot be read: {error.strerror}; let the hook's user read it"
        ) from error
    if status is not None and stat.S_ISDIR(status.st_mode):
        return f"{_DIRECTORY} {status.st_dev}:{status.st_ino}"
    root = os.stat("/")  # noqa: PTH116 - beside the other
    return f"glob {root.st_dev}:{root.st_ino}:{path}"


def own_users() -> frozenset[int]:
    """Root and this process's user: this process obeys options of theirs alone, not those of the Emperor's user."""
    return frozenset({ROOT, os.geteuid()})


def vassal_of(pid: int, vassals: Container[int]) -> int | None:
    """The pid of the vassal that a process is, or is a child of as a mule is; None = it belongs to no vassal."""
    return next((one for one in (pid, processes.parent(pid)) if one is not None and one in vassals), None)


class Authority:
    """Decides which processes may act for an Emperor.

    What it has read is kept, so make another one whenever the Emperor or a config may have changed.
    """

    def __init__(self, emperor_pid: int, configs: Callable[[], Mapping[int, str]]) -> None:
        """`configs` gives each vassal's pid and config path; it is called only to judge a process of another user."""
        above = processes.sole_user(emperor_pid)
        self.trusted = own_users() if above is None else own_users() | {above}
        """The users all of whose processes may act."""
        self._configs = configs
        self._foreign: dict[int, tuple[int, str]] | None = None
        self._options: dict[str, dict[str, list[str]]] = {}

    def may_act(self, peer: Peer) -> bool:
        """Whether a process may act; where its pid is not known, whether any process of its user may."""
        if peer.uid in self.trusted:
            return True
        if peer.pid:
            return processes.user(peer.pid) == peer.uid and bool(self.options(peer.pid))
        return any(self._hook(config) for user, config in self._vassals().values() if user == peer.uid)

    def options(self, pid: int) -> dict[str, list[str]]:
        """The hook's options in the config of the vassal that a process belongs to; none if that makes it no hook."""
        vassals = self._vassals()
        vassal = vassal_of(pid, vassals)
        return {} if vassal is None else self._hook(vassals[vassal][1])

    def _vassals(self) -> dict[int, tuple[int, str]]:
        """The user and the config of each vassal whose user is not trusted."""
        if self._foreign is None:
            vassals = {pid: (processes.user(pid), config) for pid, config in self._configs().items()}
            self._foreign = {
                pid: (user, config)
                for pid, (user, config) in vassals.items()
                if user is not None and user not in self.trusted
            }
        return self._foreign

    def _hook(self, config: str) -> dict[str, list[str]]:
        if config not in self._options:
            self._options[config] = options_of_hook(config, self.trusted)
        return self._options[config]


def options_of_hook(config: str, users: Collection[int]) -> dict[str, list[str]]:
    """The hook's options in a config file; none if it sets no trigger, or others than `users` can change it."""

    def read(path: str) -> bytes | None:
        return read_bytes(path) if is_kept(path, users) else None

    configured = process_options.of_config(config, {}, read).as_dict()
    variables = dict(text.partition("=")[::2] for text in configured.get("env", ()))
    options = {**from_environment(variables), **from_uwsgi_opt(configured)}
    for privilege in ("privileged", "unprivileged"):  # a Python vassal may have its options in its command
        for command in configured.get(f"{privilege}-binary-patch-arg", ()):
            options.update(from_arguments(_words(command)))
    return options if "trigger" in options else {}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that nobody closes: the shell does not run it either
        return []


def from_arguments(words: Sequence[str]) -> dict[str, list[str]]:
    """The hook's options among the arguments of a command; the last of each name counts, `--quiet` is left out."""
    options = {}
    left = iter(words)
    for word in left:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in OPTIONS and OPTIONS[name].attribute != "quiet":
            options[name] = [value if equals else next(left, "")]
    return options


def is_kept(path: str, users: Collection[int]) -> bool:
    """Whether `users` alone can change which regular file a path leads to, and what the file holds.

    Each directory and symlink on the way, and the file, must belong to one of them, and others may not write to it. A
    sticky directory may be writable for others, because there nobody can replace another user's file (inode(7)).
    """
    if not os.path.isabs(path):  # noqa: PTH117 - text
        return False
    status: os.stat_result | None = None
    try:
        for step in walk(path):
            if not _is_theirs(os.lstat(step.directory), users, stat.S_ISDIR):
                return False
            if step.is_link and step.status.st_uid not in users:
                return False
            status = step.status
    except (OSError, ValueError):
        return False
    return status is not None and _is_theirs(status, users, stat.S_ISREG)


def _is_theirs(status: os.stat_result, users: Collection[int], kind: Callable[[int], bool]) -> bool:
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    return kind(status.st_mode) and status.st_uid in users and (not others_write or bool(sticky))


def person(peer: Peer) -> str:
    """A process and its user, in words."""
    return f"pid {peer.pid} of {user(peer.uid)}" if peer.pid else f"a process of {user(peer.uid)}"
