"""The acts, as they are done on the real servers."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

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
from uwsgi_reload_hook.site.master import nudge
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.sockets import accepts, resolve, send
from uwsgi_reload_hook.site.vassal_config import vassal_options
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi import packets

__all__ = ["Scene", "perform"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the acts take place, as the last look has found it."""

    emperor_pid: int
    pids: Mapping[str, int]
    paths: Mapping[str, str]
    """Of the vassals' configs."""
    servers: Mapping[str, str]
    """Where the router with these stats takes subscriptions."""
    owners: Callable[[Collection[Node]], Mapping[str, tuple[Node, ...]]]
    """Tells which vassal listens on which of some nodes."""
    prober: Prober | None


def perform(action: Action, scene: Scene) -> None:
    """Do one act. Raises ActionError where the system refuses it and the roll has to stop."""
    if isinstance(action, Touch):
        _touch(action)
    elif isinstance(action, Unsubscribe):
        _unsubscribe(action, scene)
    elif isinstance(action, Subscribe):
        _subscribe(action, scene)
    elif isinstance(action, WakeMaster):
        nudge(action.pid, scene.paths[action.vassal])
    elif isinstance(action, SendProbe):
        _probe(action, scene)
    elif isinstance(action, Suspend):
        _pause(action)
    else:
        _clear_blacklist(action, scene)


def _touch(action: Touch) -> None:
    try:
        vassal_config.touch(action.path, action.mtime)
    except FileNotFoundError:
        log.info("%s: its config %s is gone", action.vassal, action.path)  # the next look tells the planner
    except OSError as error:
        reason = f"its config {action.path} cannot be touched by user {os.geteuid()}: {error.strerror}"
        raise ActionError(action.vassal, reason) from error


def _unsubscribe(action: Unsubscribe, scene: Scene) -> None:
    for node in action.nodes:
        server = scene.servers[node.router]
        try:
            send(server, packets.unsubscribe(node))
        except (OSError, UnavailableError, ValueError) as error:  # the last where it fits no packet
            reason = (
                f"cannot be unsubscribed at {server}: {error}; set {PREFIX}subscription-server, "
                "or let the hook's user write to that socket"
            )
            raise ActionError(action.vassal, reason) from error


def _subscribe(action: Subscribe, scene: Scene) -> None:
    """Announce nodes; never an address that the vassal does not listen on, as one of an old journal may be.

    A vassal announces itself too, only later.
    """
    matched = scene.owners(action.nodes)
    for node in action.nodes:
        if node.router not in scene.servers:
            log.warning("%s: not subscribed at %s, which is no router of this roll", action.vassal, node.router)
            continue
        if node not in matched.get(action.vassal, ()) or not accepts(node.address):
            log.warning("%s: not subscribed with %s: it does not listen there any more", action.vassal, node.address)
            continue
        try:
            send(scene.servers[node.router], packets.subscribe(node))
        except (OSError, UnavailableError, ValueError) as error:
            log.warning("%s: cannot be subscribed; it will announce itself: %s", action.vassal, error)


def _probe(action: SendProbe, scene: Scene) -> None:
    pid = scene.pids.get(action.vassal, 0)
    found = vassal_options(pid, scene.paths[action.vassal])
    directory = processes.working_directory(pid)
    over_http = [resolve(address, directory) for address in found.get("http-socket", [])]
    plain = [resolve(address, directory) for name in ("socket", "uwsgi-socket") for address in found.get(name, [])]
    addresses = [*(node.address for node in action.nodes), *_held(pid, [*plain, *over_http], directory)]
    if scene.prober is None:
        return
    if not addresses:
        scene.prober.fail(action.vassal, "no socket of it was found, neither at a router nor in its config")
        return
    host = action.nodes[0].key if action.nodes else "localhost"
    try:
        scene.prober.start(action.vassal, addresses[0], host, over_http=addresses[0] in over_http)
    except ValueError as error:
        scene.prober.fail(action.vassal, f"its key fits no request: {error}")


def _held(pid: int, named: list[str], directory: str | None) -> list[str]:
    """Those of the addresses in its config that a vassal listens on: a path may be that of somebody else's socket.

    A TCP address is taken as it is, and so is a path where this user may not see what the vassal holds.
    """
    told = processes.listening("unix")
    pids = (pid, *(child for child, _ in processes.children(pid) or ()))
    held = {os.path.normpath(resolve(address, directory)) for one in pids for address in told.get(one, ())}
    if not held and os.geteuid() != 0:
        return named
    return [one for one in named if not one.startswith(("/", "@")) or os.path.normpath(one) in held]


def _pause(action: Suspend) -> None:
    """Signal a master (core/master_utils.c, suspend_resume_them_all): it unsubscribes, and stops its workers."""
    try:
        processes.send_signal(action.pid, signal.SIGTSTP)
    except OSError as error:
        log.warning(
            "%s: cannot be paused (%s), and may get requests; stop it, or mend it", action.vassal, error.strerror
        )


def _clear_blacklist(action: ClearBlacklist, scene: Scene) -> None:
    """Signal the Emperor (core/emperor.c, emperor_cleanup); the next look makes it scan, and start them."""
    try:
        processes.send_signal(scene.emperor_pid, signal.SIGURG)
    except OSError as error:
        log.warning(
            "the Emperor's blacklist cannot be cleared (%s): %s starts when its throttle is over",
            error.strerror,
            ", ".join(action.vassals),
        )
