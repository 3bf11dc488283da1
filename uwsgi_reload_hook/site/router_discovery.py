"""Finds the routers: those that options or the Emperor's config name, and those in the Emperor's process tree."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.settings import PREFIX, Settings
from uwsgi_reload_hook.site import process_options, processes, routers
from uwsgi_reload_hook.site.process_options import of_instance
from uwsgi_reload_hook.site.router_options import STATS_OPTIONS
from uwsgi_reload_hook.site.sockets import StatsSocket, resolve, same_socket
from uwsgi_reload_hook.site.subscription_servers import by_option, host_of, remote_server
from uwsgi_reload_hook.site.unanswered import no_router
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["Router", "answer", "find_routers", "read_named"]

log = logging.getLogger(__name__)

Answers = list[tuple[StatsSocket, stats.RouterStats]]


@dataclass(frozen=True, slots=True)
class Router:
    """One router: its stats socket and its subscription server."""

    stats: StatsSocket
    subscription_server: str
    host: str = ""
    """The other host that it is on; empty = this one."""
    further: bool = False
    """Whether it was found in the Emperor's process tree, beside those that a config names."""


def find_routers(
    settings: Settings, emperor: stats.EmperorStats, configured: Sequence[str], trusted: Collection[int]
) -> tuple[Router, ...]:
    """Find all routers. `configured` are the stats sockets that the Emperor's config names. Raises UnavailableError."""
    named = [_named_router(address) for address in settings.fastrouter_stats_socket]
    known = named or _configured_routers(configured)
    held, passed_over = routers.gateway_sockets(emperor, trusted)
    addresses = [socket.address for socket, _ in known]
    others = [one for one in held if not any(same_socket(address, one) for address in addresses)]
    if known:
        others = _named_stats_sockets(others)
    further = _of_routers((socket, answer(socket, ask=False)) for socket in map(StatsSocket, others))
    further = [one for one in further if one[1].pid not in {told.pid for _, told in known}]
    if not known and not further:
        words = f" ({'; '.join(passed_over)})" if passed_over else ""
        raise UnavailableError(no_router(process_options.of_instance(emperor.pid)[0].as_dict(), words))
    if named:
        for socket, told in further:
            _say_it_is_left_out(socket, told, "it is not among them")
        further = []
    servers = by_option(settings.subscription_server, [(socket.address, told) for socket, told in (*known, *further)])
    found = [_with_server(socket, told, servers, trusted, named=bool(named)) for socket, told in known]
    return (*found, *_usable(further, servers, trusted, alone=not known))


def _named_stats_sockets(held: Collection[str]) -> list[str]:
    """Those of the addresses that the process which listens there calls its stats socket.

    Nobody connects to any other socket beside a known router: uWSGI's rawrouter crashes at a connection without a node.
    """
    if not held:
        return []
    listening = processes.listening()
    found = []
    for pid in {pid for pid, addresses in listening.items() if not addresses.isdisjoint(held)}:
        options, directory = of_instance(pid)
        named = [resolve(one, directory) for one in options.found(*STATS_OPTIONS)]
        found += [one for one in held if one in listening[pid] and any(same_socket(each, one) for each in named)]
    return sorted({*found})


def _usable(further: Answers, servers: dict[str, str], trusted: Collection[int], *, alone: bool) -> Iterator[Router]:
    """The further routers that packets can be sent to. Raises UnavailableError if these are the only routers."""
    for socket, told in further:
        try:
            yield replace(_with_server(socket, told, servers, trusted, named=False), further=not alone)
        except UnavailableError as error:
            if alone:
                raise
            _say_it_is_left_out(socket, told, str(error))


def _say_it_is_left_out(socket: StatsSocket, told: stats.RouterStats, why: str) -> None:
    log.warning(
        "a further router answers at %s (pid %d) and is left out, so that nobody is drained there: %s; name every "
        "router by %sfastrouter-stats-socket",
        socket.address,
        told.pid,
        why,
        PREFIX,
    )


def _with_server(
    socket: StatsSocket, told: stats.RouterStats, servers: dict[str, str], trusted: Collection[int], *, named: bool
) -> Router:
    host = host_of(socket.address)
    server = servers.get(socket.address)
    if server is None and host:
        server = remote_server(told, socket.address, host)
    return Router(socket, server or routers.subscription_server(told, socket.address, trusted, named=named), host)


def _configured_routers(addresses: Sequence[str]) -> Answers:
    """The routers whose stats sockets the Emperor's config names; none if no such socket answers.

    Raises UnavailableError if only some answer, because the vassals of a silent router would count for no minimum.
    """
    answers = [(socket, answer(socket, ask=True)) for socket in map(StatsSocket, addresses)]
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
    document = read_named(socket, "fastrouter-stats-socket")
    if not stats.is_router(document):
        raise UnavailableError(
            f"{PREFIX}fastrouter-stats-socket = {address}: this is not the stats socket of a router that takes "
            "subscriptions; give the address of fastrouter-stats-server"
        )
    return socket, stats.parse_router(document, address)


def _of_routers(answers: Iterable[tuple[StatsSocket, stats.Document | None]]) -> Answers:
    return [
        (socket, stats.parse_router(document, socket.address))
        for socket, document in answers
        if document and stats.is_router(document)
    ]


def read_named(socket: StatsSocket, option: str) -> stats.Document:
    """Read the stats socket that an option names. Raises UnavailableError that names the option."""
    try:
        return socket.read()
    except UnavailableError as error:
        raise UnavailableError(
            f"{PREFIX}{option} = {socket.address}: {error}; give the address it listens on"
        ) from error


def answer(socket: StatsSocket, *, ask: bool) -> stats.Document | None:
    """What a socket answers; None = nothing that can be read."""
    try:
        return socket.read(ask=ask)
    except UnavailableError:
        return None
