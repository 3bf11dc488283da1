"""The acts of a roll on the real Emperor, routers and vassals."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import replace

from uwsgi_reload_hook.errors import ActionError, UnavailableError
from uwsgi_reload_hook.planning.actions import (
    Action,
    ClearBlacklist,
    EndRequest,
    SendProbe,
    Subscribe,
    Suspend,
    Touch,
    Unsubscribe,
    WakeMaster,
)
from uwsgi_reload_hook.settings import PREFIX
from uwsgi_reload_hook.site import processes, vassal_config
from uwsgi_reload_hook.site.master import wake
from uwsgi_reload_hook.site.probe_target import find_target, host_of
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.sockets import accepts, send
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi import packets

__all__ = ["Actuator"]

log = logging.getLogger(__name__)


class Actuator:
    """Acts on the vassals that the last look has shown."""

    def __init__(self, vassals: KnownVassals, servers: Mapping[str, str], prober: Prober | None) -> None:
        """`servers` maps each router, named by its stats socket, to its subscription server."""
        self._vassals = vassals
        self._servers = servers
        self._prober = prober

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError where the system refuses the act, so that the roll has to stop."""
        match action:
            case Touch():
                _touch(action)
            case Unsubscribe():
                self._unsubscribe(action)
            case Subscribe():
                self._subscribe(action)
            case WakeMaster():
                wake(action.pid, self._vassals.paths[action.vassal])
            case SendProbe():
                self._probe(action)
            case EndRequest():
                self._end_request(action)
            case Suspend():
                _suspend(action)
            case ClearBlacklist():
                self._clear_blacklist(action)

    def _unsubscribe(self, action: Unsubscribe) -> None:
        for node in action.nodes:
            server = self._servers[node.router]
            try:
                send(server, packets.unsubscribe(node))
            except (OSError, UnavailableError, ValueError) as error:  # a ValueError where the node fits no packet
                reason = (
                    f"cannot be unsubscribed at {server}: {error}; set {PREFIX}subscription-server, "
                    "or let the hook's user write to that socket"
                )
                raise ActionError(action.vassal, reason) from error

    def _subscribe(self, action: Subscribe) -> None:
        """Subscribe a vassal's nodes before it announces itself, which it does every ten seconds.

        A node counts only while the vassal listens on its address, because an old journal may name an address that
        another process has taken since.
        """
        own = self._vassals.owners(action.nodes).get(action.vassal, ())
        for node in action.nodes:
            if node.router not in self._servers:
                log.warning("%s: not subscribed at %s, which is no router of this roll", action.vassal, node.router)
                continue
            if node not in own or not accepts(node.address):
                log.warning(
                    "%s: not subscribed with %s: it does not listen there any more", action.vassal, node.address
                )
                continue
            try:
                send(self._servers[node.router], packets.subscribe(node))
            except (OSError, UnavailableError, ValueError) as error:
                log.warning("%s: cannot be subscribed; it will announce itself: %s", action.vassal, error)

    def _probe(self, action: SendProbe) -> None:
        if self._prober is None:
            return
        pid, config = self._vassals.pids.get(action.vassal, 0), self._vassals.paths[action.vassal]
        target = find_target(replace(action, nodes=self._held(action)), pid, config)
        if target is None:
            why = "no socket of it that can be asked was found, neither at a router nor in its config"
            self._prober.leave_out(action.vassal, host_of(action), why)
            return
        try:
            self._prober.start(action.vassal, target)
        except ValueError as error:
            self._prober.leave_out(action.vassal, target.host, f"its key fits no request: {error}")

    def _end_request(self, action: EndRequest) -> None:
        """End one worker, as its master does when its mercy is over (core/master.c, uwsgi_master_check_mercy)."""
        worker = self._prober.hung_worker(action.vassal, action.pid) if self._prober else None
        if worker is None:
            return
        try:
            processes.send_signal(worker, signal.SIGKILL)
        except OSError as error:
            log.warning(
                "%s: worker %d hangs in the hook's probe, and cannot be ended: %s", action.vassal, worker, error
            )
        else:
            text = "%s: worker %d is ended, because it hung in the hook's probe and nothing else"
            log.warning(text, action.vassal, worker)

    def _held(self, action: SendProbe) -> tuple[Node, ...]:
        """Those of the nodes that the vassal has still: a reload gives `socket = 127.0.0.1:0` another port."""
        if all(node.address.startswith(("/", "@")) for node in action.nodes):
            return action.nodes
        own = self._vassals.owners(action.nodes).get(action.vassal, ())
        return tuple(node for node in own if accepts(node.address))

    def _clear_blacklist(self, action: ClearBlacklist) -> None:
        """Have the Emperor forget its blacklist (core/emperor.c, emperor_cleanup); its next scan starts the vassals."""
        try:
            processes.send_signal(self._vassals.emperor_pid, signal.SIGURG)
        except OSError as error:
            log.warning(
                "the Emperor's blacklist cannot be cleared (%s): %s starts when its throttle is over",
                error.strerror,
                ", ".join(action.vassals),
            )


def _touch(action: Touch) -> None:
    try:
        vassal_config.touch(action.path, action.mtime)
    except FileNotFoundError:
        log.info("%s: its config %s is gone", action.vassal, action.path)  # the next look shows that to the planner
    except OSError as error:
        reason = f"its config {action.path} cannot be touched by user {os.geteuid()}: {error.strerror}"
        raise ActionError(action.vassal, reason) from error


def _suspend(action: Suspend) -> None:
    """Have a master unsubscribe and stop its workers (core/master_utils.c, suspend_resume_them_all)."""
    try:
        processes.send_signal(action.pid, signal.SIGTSTP)
    except OSError as error:
        log.warning(
            "%s: cannot be suspended (%s), and may get requests; stop it, or mend it", action.vassal, error.strerror
        )
