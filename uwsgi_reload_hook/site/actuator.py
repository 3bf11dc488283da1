"""The acts of a roll on the real Emperor, routers and vassals."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping

from uwsgi_reload_hook.addresses import is_unix
from uwsgi_reload_hook.errors import ActionError, UnavailableError
from uwsgi_reload_hook.planning.actions import (
    Action,
    ClearBlacklist,
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
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.site.sockets import accepts, resolve, send
from uwsgi_reload_hook.site.vassals import KnownVassals
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
        pid = self._vassals.pids.get(action.vassal, 0)
        options = of_vassal(pid, self._vassals.paths[action.vassal])
        directory = processes.working_directory(pid)
        over_http = [resolve(address, directory) for address in options.found("http-socket")]
        plain = [resolve(address, directory) for address in options.found("socket", "uwsgi-socket")]
        addresses = [*(node.address for node in action.nodes), *_held(pid, [*plain, *over_http], directory)]
        if not addresses:
            self._prober.fail(action.vassal, "no socket of it was found, neither at a router nor in its config")
            return
        host = action.nodes[0].key if action.nodes else "localhost"
        try:
            self._prober.start(action.vassal, addresses[0], host, over_http=addresses[0] in over_http)
        except ValueError as error:
            self._prober.fail(action.vassal, f"its key fits no request: {error}")

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


def _held(pid: int, named: list[str], directory: str | None) -> list[str]:
    """Keep those addresses of its config that a vassal listens on, because a path may lead to another's socket.

    A TCP address is kept unchecked. So is a path where this user may not see the vassal's sockets.
    """
    listening = processes.listening("unix")
    pids = (pid, *(child for child, _ in processes.children(pid) or ()))
    held = {os.path.normpath(resolve(address, directory)) for one in pids for address in listening.get(one, ())}
    if not held and os.geteuid() != 0:
        return named
    return [one for one in named if not is_unix(one) or os.path.normpath(one) in held]


def _suspend(action: Suspend) -> None:
    """Have a master unsubscribe and stop its workers (core/master_utils.c, suspend_resume_them_all)."""
    try:
        processes.send_signal(action.pid, signal.SIGTSTP)
    except OSError as error:
        log.warning(
            "%s: cannot be suspended (%s), and may get requests; stop it, or mend it", action.vassal, error.strerror
        )
