"""Finds the Emperor's and the routers' sockets, so that the trigger is the only option to set.

A socket that an option names is used. Else the sockets in the Emperor's command line and config are tried. Then those
are tried that the Emperor, its siblings and its vassals' children listen on, because a stats socket answers as soon as
somebody connects. A socket counts if the answer is that of an Emperor or a router. One that was found by its process
has to belong to root or to the Emperor's user too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.option_sources import from_environment
from uwsgi_reload_hook.settings import PREFIX, Settings
from uwsgi_reload_hook.site import processes, routers, vassal_config
from uwsgi_reload_hook.site.authority import Authority, from_arguments
from uwsgi_reload_hook.site.peers import is_listener
from uwsgi_reload_hook.site.sockets import StatsSocket, resolve
from uwsgi_reload_hook.site.vassal_config import NOFOLLOW, read_text
from uwsgi_reload_hook.uwsgi import ini, stats
from uwsgi_reload_hook.uwsgi.known_options import is_set

__all__ = ["Endpoints", "Home", "Instance", "Router", "discover", "find_emperor", "given_to", "instance_of"]

ROUTERS = ("fastrouter", "http", "rawrouter", "sslrouter")
DEFAULT_TOLERANCE = 17.0
"""uWSGI's default `subscription-tolerance` (core/init.c)."""


@dataclass(frozen=True, slots=True)
class Router:
    """One router: its stats socket and its subscription server."""

    stats: StatsSocket
    subscription_server: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The sockets of a site, and what its configs say about the Emperor and the routers."""

    emperor: StatsSocket
    emperor_pid: int
    routers: tuple[Router, ...]
    subscription_tolerance: float
    nofollow: bool | None = None
    """Whether the Emperor reads the mtime of a symlink itself (`emperor-nofollow`); None = not known."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A uWSGI instance: its options, and the directory that its relative paths start from."""

    options: ini.Options
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
    named = bool(settings.fastrouter_stats_socket)
    known = tuple(
        Router(
            stats_socket,
            settings.subscription_server
            or routers.subscription_server(router_stats, stats_socket.address, trusted, named=named),
        )
        for stats_socket, router_stats in _routers(settings, emperor_stats, instance, trusted)
    )
    if home.host is not None:
        nofollow: bool | None = is_set(instance.options, NOFOLLOW)
    else:
        nofollow = vassal_config.nofollow(emperor_stats.pid, instance.directory)
    return Endpoints(emperor, emperor_stats.pid, known, _tolerance(instance), nofollow)


def find_emperor(settings: Settings, home: Home) -> tuple[StatsSocket, Instance | None]:
    """Find the Emperor's stats socket, and its instance if its pid is known already. Raises UnavailableError."""
    instance = home.host
    if instance is None and home.emperor_pid is not None:
        instance = instance_of(home.emperor_pid)
    return _emperor_stats(settings, home, instance or Instance({}, "/")), instance


def instance_of(emperor_pid: int) -> Instance:
    """Read the options of the Emperor's process.

    Its relative paths start where its master is, if it has one, because the Emperor itself changes into the directory
    that it scans.
    """
    environment = processes.environment(emperor_pid) or {}
    above = processes.parent(emperor_pid)
    arguments = processes.command_line(emperor_pid)
    same_program = above is not None and processes.command_line(above) == arguments
    directory = (processes.working_directory(above) if above and same_program else None) or environment.get("PWD", "/")
    return Instance(ini.options(arguments, directory, environment, read_text), directory)


def given_to(pid: int) -> dict[str, list[str]]:
    """The hook's options in the environment and the arguments of a running hook."""
    return {**from_environment(processes.environment(pid) or {}), **from_arguments(processes.command_line(pid))}


def _tolerance(instance: Instance) -> float:
    text = instance.options.get("subscription-tolerance", [""])[-1]
    return float(text) if text.isdecimal() else DEFAULT_TOLERANCE


def _emperor_stats(settings: Settings, home: Home, instance: Instance) -> StatsSocket:
    if settings.emperor_stats_socket:
        socket = StatsSocket(settings.emperor_stats_socket)
        if not stats.is_emperor(_read_named(socket, "emperor-stats-socket")):
            raise UnavailableError(
                f"{PREFIX}emperor-stats-socket = {socket.address}: this is not an Emperor's stats socket; "
                "give the address of emperor-stats-server"
            )
        return socket
    configured = ((one, True) for one in instance.values(("emperor-stats", "emperor-stats-server")))
    held = ((one, False) for one in _held(home.emperor_pid))
    for address, ask in chain(configured, held):
        socket = StatsSocket(address)
        if (document := _answer(socket, ask=ask)) and stats.is_emperor(document):
            return socket
    raise UnavailableError(
        "the Emperor's stats socket was not found; set emperor-stats-server in the Emperor's config, and "
        f"{PREFIX}emperor-stats-socket to the same address in the hook's"
    )


def _held(pid: int | None) -> Iterator[str]:
    """The Emperor's sockets, the oldest first, each when it is asked for.

    To connect to a socket of an on-demand vassal is to start the vassal. The Emperor binds its stats socket before
    those (core/emperor.c, emperor_loop), so that a search which ends at the first answer connects to none of them.
    """
    if pid is None:
        return
    trusted = Authority(pid, dict).trusted
    yield from (one for one in processes.listening_in_order(pid) if is_listener(one, trusted))


def _read_named(socket: StatsSocket, option: str) -> stats.Document:
    try:
        return socket.read()
    except UnavailableError as error:
        raise UnavailableError(
            f"{PREFIX}{option} = {socket.address}: {error}; give the address it listens on"
        ) from error


def _answer(socket: StatsSocket, *, ask: bool) -> stats.Document | None:
    try:
        return socket.read(ask=ask)
    except UnavailableError:
        return None


def _routers(
    settings: Settings, emperor: stats.EmperorStats, instance: Instance, trusted: Collection[int]
) -> list[tuple[StatsSocket, stats.RouterStats]]:
    if settings.fastrouter_stats_socket:
        return [_named_router(address) for address in settings.fastrouter_stats_socket]
    if configured := _configured_routers(instance):
        return configured
    held, passed_over = routers.gateway_sockets(emperor, trusted)
    sockets = [StatsSocket(one) for one in held]
    if answering := _of_routers((socket, _answer(socket, ask=False)) for socket in sockets):
        return answering
    words = f" ({'; '.join(passed_over)})" if passed_over else ""
    raise UnavailableError(
        f"no router's stats socket was found in the Emperor's process tree{words}; set fastrouter-stats-server in the "
        f"router's config, and {PREFIX}fastrouter-stats-socket to the same address in the hook's"
    )


def _configured_routers(instance: Instance) -> list[tuple[StatsSocket, stats.RouterStats]]:
    """The routers whose stats sockets the Emperor's config names; none if no such socket answers.

    Raises UnavailableError if only some answer, because the vassals of a silent router would count for no minimum.
    """
    names = [f"{router}-{option}" for router in ROUTERS for option in ("stats", "stats-server")]
    sockets = [StatsSocket(one) for one in instance.values(names)]
    answers = [(socket, _answer(socket, ask=True)) for socket in sockets]
    answering = _of_routers(answers)
    silent = [socket.address for socket, document in answers if document is None]
    if answering and silent:
        raise UnavailableError(
            f"the router's stats socket {silent[0]}, which the Emperor's config names, does not answer, though "
            f"{answering[0][0].address} does; start that router, or name those that there are by "
            f"{PREFIX}fastrouter-stats-socket in the hook's config"
        )
    return answering


def _named_router(address: str) -> tuple[StatsSocket, stats.RouterStats]:
    socket = StatsSocket(address)
    document = _read_named(socket, "fastrouter-stats-socket")
    if not stats.is_router(document):
        raise UnavailableError(
            f"{PREFIX}fastrouter-stats-socket = {address}: this is not the stats socket of a router that takes "
            "subscriptions; give the address of fastrouter-stats-server"
        )
    return socket, stats.parse_router(document, address)


def _of_routers(
    answers: Iterable[tuple[StatsSocket, stats.Document | None]],
) -> list[tuple[StatsSocket, stats.RouterStats]]:
    return [
        (socket, stats.parse_router(document, socket.address))
        for socket, document in answers
        if document and stats.is_router(document)
    ]
