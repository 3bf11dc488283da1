"""Who may act for an Emperor, and what stands for it.

Root, the Emperor's user and the user of this process may. So may the process of a vassal whose config makes it the
hook, whichever user that runs as, if nobody else can change this config. Nothing else that a process of another user
says or holds decides anything; what cannot be read is not known, and who is not known may not.
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
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.vassal_config import read_text
from uwsgi_reload_hook.users import user
from uwsgi_reload_hook.uwsgi import ini, stats

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
    """What stands for an Emperor, whatever its pid is at the moment."""

    name: str
    """For an operator: a directory or glob that it scans."""
    identity: str
    """The same for two processes that mean the same Emperor: 32 letters and digits."""


def identify(emperor_stats: stats.EmperorStats) -> Emperor:
    """Tell what stands for the Emperor that gives these stats: all that it scans.

    A directory is known by its device and inode. A glob has none, so it is known by its pattern from the root
    directory, which another container has another one of.

    Raises ConfigError where a directory cannot be looked at, or the Emperor lives in another network namespace, where
    nobody sees this hook's lock.
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
    """Root and this process's user, by whose words alone this process is led; the Emperor's user is not one of them."""
    return frozenset({ROOT, os.geteuid()})


def vassal_of(pid: int, vassals: Container[int]) -> int | None:
    """The pid of the vassal that a process belongs to, None = it is no vassal's: a mule is a child of its vassal."""
    return next((one for one in (pid, processes.parent(pid)) if one is not None and one in vassals), None)


class Authority:
    """Judges processes, by what the Emperor and the configs say at this moment: make another one for the next look."""

    def __init__(self, emperor_pid: int, configs: Callable[[], Mapping[int, str]]) -> None:
        """`configs` tells each vassal's pid and the path of its config; asked only where that decides."""
        above = processes.sole_user(emperor_pid)
        self.trusted = own_users() if above is None else own_users() | {above}
        """The users whose processes may act, all of them."""
        self._configs = configs
        self._foreign: dict[int, tuple[int, str]] | None = None
        self._options: dict[str, dict[str, list[str]]] = {}

    def may_act(self, peer: Peer) -> bool:
        """Whether a process may act. Of one whose pid is not known: whether any process of its user may."""
        if peer.uid in self.trusted:
            return True
        if peer.pid:
            return processes.user(peer.pid) == peer.uid and bool(self.options(peer.pid))
        return any(self._hook(config) for user, config in self._vassals().values() if user == peer.uid)

    def options(self, pid: int) -> dict[str, list[str]]:
        """The hook's options that the config of a process's vassal gives it, if this makes it the hook; else none."""
        vassals = self._vassals()
        vassal = vassal_of(pid, vassals)
        return {} if vassal is None else self._hook(vassals[vassal][1])

    def _vassals(self) -> dict[int, tuple[int, str]]:
        """The user and config of each vassal whose user is not trusted as such."""
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
    """The hook's options that a config gives by itself, without the process; none if it does not make it the hook."""

    def read(path: str) -> str | None:
        return read_text(path) if is_kept(path, users) else None

    ini_options = ini.options(["uwsgi", "--ini", config], str(Path(config).parent), {}, read)
    variables = dict(text.partition("=")[::2] for text in ini_options.get("env", ()))
    options = {**from_environment(variables), **from_uwsgi_opt(ini_options)}
    for privilege in ("privileged", "unprivileged"):  # a Python vassal may have its options in its command
        for command in ini_options.get(f"{privilege}-binary-patch-arg", ()):
            options.update(from_arguments(_words(command)))
    return options if "trigger" in options else {}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that nobody closes: the shell does not run it either
        return []


def from_arguments(words: Sequence[str]) -> dict[str, list[str]]:
    """The hook's options among the arguments of a command, the last of each; a flag that has no value is left out."""
    options = {}
    left = iter(words)
    for word in left:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in OPTIONS and OPTIONS[name].attribute != "quiet":
            options[name] = [value if equals else next(left, "")]
    return options


def is_kept(path: str, users: Collection[int]) -> bool:
    """Whether nobody but `users` can change which regular file a path leads to, or what that holds.

    Each directory and link on the way, and the file, has to be theirs, and only a sticky directory may be writable for
    others (inode(7)): there everybody keeps what is his.
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
