"""Finds the Emperor's and the routers' sockets, so that the trigger is the only option to set.

A socket that an option names is used. Else the sockets in the Emperor's command line and config are tried. Then those
are tried that the Emperor, its siblings and its vassals' children listen on, because a stats socket answers as soon as
somebody connects. A socket counts if the answer is that of an Emperor or a router. One that was found by its process
has to belong to root or to the Emperor's user too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.option_sources import from_environment
from uwsgi_reload_hook.settings import PREFIX, Settings
from uwsgi_reload_hook.site import process_options, processes
from uwsgi_reload_hook.site.authority import Authority, from_arguments
from uwsgi_reload_hook.site.peers import is_listener
from uwsgi_reload_hook.site.process_options import NOFOLLOW
from uwsgi_reload_hook.site.router_discovery import Router, answer, find_routers, read_named
from uwsgi_reload_hook.site.router_options import STATS_OPTIONS
from uwsgi_reload_hook.site.sockets import StatsSocket, resolve
from uwsgi_reload_hook.site.unanswered import no_emperor
from uwsgi_reload_hook.uwsgi import stats
from uwsgi_reload_hook.uwsgi.options import is_on

__all__ = ["Endpoints", "Home", "Instance", "Router", "discover", "find_emperor", "given_to", "instance_of"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The sockets of a site, and what its configs say about the Emperor and the routers."""

    emperor: StatsSocket
    emperor_pid: int
    routers: tuple[Router, ...]
    nofollow: bool | None = None
    """Whether the Emperor reads the mtime of a symlink itself (`emperor-nofollow`); None = not known."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A uWSGI instance: its options, and the directory that its relative paths start from."""

    options: Mapping[str, list[str]]
    directory: str

    def values(self, names: Iterable[str]) -> Iterator[str]:
        """The addresses in the options `names`, with absolute paths."""
        for name in names:
            for value in self.options.get(name, []):
                yield resolve(value, self.directory)


@dataclass(frozen=True, slots=True)
class Home:
    """Where in the process tree the hook runs."""

    mode: str
    """`mule`, `vassal`, `host` or `shell`."""
    emperor_pid: int | None = None
    """The Emperor whose vassal the hook is; None = the hook is no vassal."""
    own_pid: int = 0
    """The pid of the hook's own vassal in the Emperor's stats; 0 = there is none."""
    workers: int | None = None
    """How many workers the hook's own vassal has; None = it is no uWSGI, or there is none."""
    host: Instance | None = None
    """The instance that hosts the Emperor, where the hook is a mule of that instance."""


def discover(settings: Settings, home: Home) -> Endpoints:
    """Find the sockets. Raises UnavailableError with the option to set, for the first socket that is missing.

    While the Emperor starts a socket may be missing for a moment, because vassals start before routers.
    """
    emperor, instance = find_emperor(settings, home)
    emperor_stats = stats.parse_emperor(emperor.read())
    instance = instance or instance_of(emperor_stats.pid)
    trusted = Authority(emperor_stats.pid, dict).trusted
    known = find_routers(settings, emperor_stats, [*instance.values(STATS_OPTIONS)], trusted)
    if home.host is not None:
        nofollow: bool | None = is_on(instance.options.get(NOFOLLOW, []))
    else:
        nofollow = process_options.nofollow(emperor_stats.pid)
    return Endpoints(emperor, emperor_stats.pid, known, nofollow)


def find_emperor(settings: Settings, home: Home) -> tuple[StatsSocket, Instance | None]:
    """Find the Emperor's stats socket, and its instance if its pid is known already. Raises UnavailableError."""
    instance = home.host
    if instance is None and home.emperor_pid is not None:
        instance = instance_of(home.emperor_pid)
    return _emperor_stats(settings, home, instance or Instance({}, "/")), instance


def instance_of(emperor_pid: int) -> Instance:
    """Read the options of the Emperor's process."""
    options, directory = process_options.of_instance(emperor_pid)
    return Instance(options.as_dict(), directory)


def given_to(pid: int) -> dict[str, list[str]]:
    """The hook's options in the environment and the arguments of a running hook."""
    return {**from_environment(processes.environment(pid) or {}), **from_arguments(processes.command_line(pid))}


def _emperor_stats(settings: Settings, home: Home, instance: Instance) -> StatsSocket:
    if settings.emperor_stats_socket:
        socket = StatsSocket(settings.emperor_stats_socket)
        if not stats.is_emperor(read_named(socket, "emperor-stats-socket")):
            raise UnavailableError(
                f"{PREFIX}emperor-stats-socket = {socket.address}: this is not an Emperor's stats socket; "
                "give the address of emperor-stats-server"
            )
        return socket
    configured = ((one, True) for one in instance.values(("emperor-stats", "emperor-stats-server")))
    held = ((one, False) for one in _held(home.emperor_pid))
    for address, ask in chain(configured, held):
        socket = StatsSocket(address)
        if (document := answer(socket, ask=ask)) and stats.is_emperor(document):
            return socket
    raise UnavailableError(no_emperor(instance.options))


def _held(pid: int | None) -> Iterator[str]:
    """The Emperor's sockets, the oldest first, each when it is asked for.

    To connect to a socket of an on-demand vassal is to start the vassal. The Emperor binds its stats socket before
    those (core/emperor.c, emperor_loop), so that a search which ends at the first answer connects to none of them.
    """
    if pid is None:
        return
    trusted = Authority(pid, dict).trusted
    yield from (one for one in processes.listening_in_order(pid) if is_listener(one, trusted))
