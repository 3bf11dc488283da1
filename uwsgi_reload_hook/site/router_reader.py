"""Reads all routers once a look, and keeps what is known of each: its tolerance, its clock, where its packets go."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.peers import listening_pid
from uwsgi_reload_hook.site.router_clock import RouterClock
from uwsgi_reload_hook.site.router_discovery import Router
from uwsgi_reload_hook.site.router_options import RouterOptions, options_of
from uwsgi_reload_hook.site.sockets import resolve, same_socket
from uwsgi_reload_hook.site.subscription_servers import is_of_its_host
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["RouterReader", "not_of_another_host"]

log = logging.getLogger(__name__)

WARNINGS = 100
"""Warnings about routers, at most: one for each that passes packets on."""
Told = Sequence[tuple[Router, stats.RouterStats]]


class RouterReader:
    """The routers of a site."""

    def __init__(self, routers: Iterable[Router]) -> None:
        self._routers = tuple(routers)
        self._options: dict[str, tuple[int, RouterOptions]] = {}
        """Router to the pid of its process, and to the options of that."""
        self._clocks: dict[str, RouterClock] = {}
        self._warned = Seen(WARNINGS)

    def read(self) -> Told:
        """Read each router once. Raises UnavailableError.

        One that was found in a process tree is left out once its process has ended, because its vassal was removed.
        """
        told = []
        for router in self._routers:
            try:
                told.append((router, stats.parse_router(router.stats.read(), router.stats.address)))
            except UnavailableError:
                pid, _ = self._options.get(router.stats.address, (0, None))
                if not router.further or not pid or processes.started(pid) is not None:
                    raise
        for router, answer in told:
            self._know(router, answer)
        return told

    def _know(self, router: Router, told: stats.RouterStats) -> None:
        """Read the options of a router's process, once for each process that it has been."""
        name = router.stats.address
        if name in self._options and self._options[name][0] == told.pid:
            return
        own = not router.host and _answers_at(told.pid, name)
        self._options[name] = told.pid, options_of(told.pid) if own else RouterOptions()
        self._clocks.pop(name, None)

    def clocks(self, told: Told, wall: float) -> Mapping[str, float]:
        """For each router the time by its own clock; `wall` is that of this host."""
        monotonic = time.monotonic()
        return {
            (name := router.stats.address): self._clocks.setdefault(name, RouterClock()).now(answer.nodes, monotonic)
            if router.host
            else wall
            for router, answer in told
        }

    def tolerances(self, told: Told) -> Mapping[str, float]:
        """The `subscription-tolerance` of each router of which that is known."""
        known = {router.stats.address: self._options[router.stats.address][1].tolerance for router, _ in told}
        return {name: tolerance for name, tolerance in known.items() if tolerance is not None}

    def resubscribing(self, told: Told) -> frozenset[str]:
        """The routers that pass an unsubscribe packet on to an outer router, which then takes them out as a whole.

        Where a router's options are not known, its own address among the nodes of another router tells.
        """
        found = set()
        for router, answer in told:
            known = self._options[router.stats.address][1].resubscribes
            if known or (known is None and _stands_at_another(router, answer, told)):
                found.add(router.stats.address)
                self._say_it_passes_on(router.stats.address)
        return frozenset(found)

    def _say_it_passes_on(self, name: str) -> None:
        if self._warned.is_new(name):
            log.warning(
                "nobody is drained at the router %s, because it passes subscriptions on with its own address "
                "(resubscribe): one unsubscribed vassal would take all others out of the outer router too",
                name,
            )


def _answers_at(pid: int, name: str) -> bool:
    """Whether the process `pid` listens at a stats socket, because an answer may give any pid."""
    if name.startswith(("/", "@")):
        return listening_pid(name) == pid
    return any(same_socket(name, one) for one in processes.listening().get(pid, ()))


def _stands_at_another(router: Router, told: stats.RouterStats, all_told: Told) -> bool:
    own = {os.path.normpath(resolve(one, told.cwd)) for one in told.sockets}
    return any(
        os.path.normpath(node.address) in own
        for other, answer in all_told
        if other is not router and other.host == router.host
        for node in answer.nodes
    )


def not_of_another_host(router: Router, nodes: Iterable[Node]) -> list[Node]:
    """The nodes of a router that may be vassals of this host: a path at a router elsewhere is a socket of that host."""
    return [node for node in nodes if not (router.host and is_of_its_host(node.address))]
