"""The outside as the controller knows it: a look at everything, and the acts. The real one."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from uwsgi_reload_hook import configs, packets, processes, stats
from uwsgi_reload_hook.configs import vassal_options
from uwsgi_reload_hook.discover import Place, Router, Surroundings, discover, find_emperor, given_to, instance_of
from uwsgi_reload_hook.errors import ActionError, UnavailableError
from uwsgi_reload_hook.matching import NodeMatcher
from uwsgi_reload_hook.model import Details, Node, Snapshot, Vassal
from uwsgi_reload_hook.nudge import nudge
from uwsgi_reload_hook.probing import Prober
from uwsgi_reload_hook.roll import Action, ClearBlacklist, Nudge, Pause, SendProbe, Subscribe, Touch, Unsubscribe
from uwsgi_reload_hook.settings import PREFIX, Settings, from_uwsgi_opt
from uwsgi_reload_hook.sockets import accepts, resolve, send

__all__ = ["World"]

log = logging.getLogger(__name__)


class World:
    """One Emperor, its vassals, and the routers they subscribe to."""

    def __init__(self, settings: Settings, place: Place) -> None:
        """Nothing is looked for yet."""
        self._settings = settings
        self._place = place
        self._around: Surroundings | None = None
        self._emperor_pid = 0
        self._matcher = NodeMatcher(processes.listening, processes.parent, time.monotonic)
        self._paths: dict[str, str] = {}
        self._monitors: dict[str, str] = {}
        self._hosts: dict[int, int | None] = {}
        self._pids: dict[str, int] = {}
        self._prober = Prober(settings.probe, settings.timeout) if settings.probe else None

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def connect(self) -> None:
        """Find the sockets, anew. Raises UnavailableError that says which is missing and what to set."""
        self._around = discover(self._settings, self._place)
        self._emperor_pid = self._around.emperor_pid

    def lock_directory(self) -> str:
        """The directory that stands for this Emperor where hooks lock each other out. Raises UnavailableError."""
        emperor = stats.emperor(self._surroundings().emperor.read())
        for monitor in sorted(emperor.monitors):
            if Path(monitor).is_dir():
                return monitor
        return emperor.cwd

    def own_config(self) -> str:
        """The path of the hook's own config. Raises UnavailableError."""
        found, _ = find_emperor(self._settings, self._place)
        told = stats.emperor(found.read())
        for entry in told.vassals:
            if entry.pid == self._place.own_pid:
                return configs.config_path(entry.id, entry.monitor, told.cwd, self._settings.emperor_path)
        raise UnavailableError(f"the Emperor lists no vassal with the hook's pid {self._place.own_pid}")

    def hook_options(self, hook: int) -> dict[str, list[str]]:
        """The options of the hook under this Emperor that is the process `hook`. Raises UnavailableError."""
        socket, _ = find_emperor(self._settings, self._place)
        told = stats.emperor(socket.read())
        written = instance_of(told.pid).options
        own = {hook, processes.parent(hook)}
        for entry in told.vassals:
            if entry.pid in own:
                path = configs.config_path(entry.id, entry.monitor, told.cwd, self._settings.emperor_path)
                written = vassal_options(entry.pid, path)
        return {**from_uwsgi_opt(written), **given_to(hook)}

    def _surroundings(self) -> Surroundings:
        if self._around is None:
            self.connect()
        if self._around is None:
            raise UnavailableError("the Emperor was not found")
        return self._around

    def look(
        self, tracked: Collection[str], detailed: Collection[str], when_accepting: Collection[str] = ()
    ) -> Snapshot:
        """Read the Emperor once and each router once.

        `tracked` are ids that are in the snapshot even when the Emperor has forgotten them, `detailed` those whose
        processes and configs are read too, `when_accepting` those of which that is done if they accept.
        Raises UnavailableError.
        """
        around = self._surroundings()
        nodes: list[Node] = []
        gateways: set[int] = set()
        for router in around.routers:
            told = stats.router(router.stats.read(), router.stats.address)
            nodes.extend(told.nodes)
            gateways.add(told.pid)
        began = time.monotonic()
        document = around.emperor.read()
        took = time.monotonic() - began
        emperor = stats.emperor(document)
        self._emperor_pid = emperor.pid  # its master starts it again if it dies
        listed = {entry.id: entry for entry in emperor.vassals}
        ids = {*listed, *emperor.blacklist, *tracked}
        self._pids = {id_: listed[id_].pid if id_ in listed else 0 for id_ in ids}
        owned = self._matcher.match(nodes, self._pids, self._settings.vassal_config_file_suffix)
        self._hosts = {pid: self._hosts[pid] if pid in self._hosts else processes.parent(pid) for pid in gateways}
        hosts = set(self._hosts.values())
        self._remember_paths(emperor, ids)
        vassals = {id_: self._vassal(id_, listed.get(id_), emperor, owned.get(id_, ()), hosts) for id_ in sorted(ids)}
        for id_ in {*detailed, *(id_ for id_ in when_accepting if vassals[id_].accepting)}:
            vassals[id_] = self._with_details(vassals[id_])
        for id_, answer in (self._prober.results() if self._prober else {}).items():
            if id_ in vassals:
                vassals[id_] = replace(vassals[id_], probe=answer)
        unowned = {node.address for node in nodes} - {node.address for own in owned.values() for node in own}
        return Snapshot(
            wall=time.time(),
            vassals=vassals,
            subscription_tolerance=around.subscription_tolerance,
            emperor_seconds=took,
            unowned=frozenset(unowned),
            cpus=len(os.sched_getaffinity(0)),
            emperor_pid=emperor.pid,
        )

    def _remember_paths(self, emperor: stats.EmperorStats, ids: Collection[str]) -> None:
        monitors = {entry.id: entry.monitor for entry in emperor.vassals}
        default = next(iter(emperor.monitors), "")
        for id_ in ids:
            monitor = monitors.get(id_) or self._monitors.get(id_, default)
            if self._monitors.get(id_) != monitor:
                self._monitors[id_] = monitor
                self._paths[id_] = configs.config_path(id_, monitor, emperor.cwd, self._settings.emperor_path)

    def _vassal(
        self,
        id_: str,
        entry: stats.VassalStats | None,
        emperor: stats.EmperorStats,
        nodes: tuple[Node, ...],
        hosts: Collection[int | None],
    ) -> Vassal:
        exists = os.path.lexists(self._paths[id_])
        blacklisted = emperor.blacklist.get(id_)
        if entry is None:
            return Vassal(id_, config_exists=exists, present=False, blacklisted=blacklisted, nodes=nodes)
        return Vassal(
            id=id_,
            config_exists=exists,
            pid=entry.pid,
            last_mod=entry.last_mod,
            last_run=entry.last_run,
            accepting=entry.accepting,
            respawns=entry.respawns,
            cursed=entry.cursed,
            blacklisted=blacklisted,
            aside=self._why_aside(entry, hosts),
            nodes=nodes,
            may_subscribe=bool(nodes) or configs.may_subscribe(self._paths[id_]),
        )

    def _why_aside(self, entry: stats.VassalStats, hosts: Collection[int | None]) -> str:
        if entry.pid == self._place.own_pid:
            return "the hook's own vassal"
        if entry.pid > 0 and entry.pid in hosts:
            return "it hosts a router"
        if entry.zerg or ":" in entry.id:
            return "a zerg vassal"
        return "an on-demand vassal" if entry.on_demand else ""

    def _with_details(self, vassal: Vassal) -> Vassal:
        found = configs.touchable(self._paths[vassal.id], vassal.last_mod, self._paths.values())
        details = Details(
            reloads=processes.reloads(vassal.pid) if vassal.present else None,
            children=processes.children(vassal.pid) if vassal.present else None,
            running=vassal.present and processes.is_running(vassal.pid),
            touch_path=found.path,
            touch_problem=found.problem,
            may_set_mtime=found.may_set_mtime,
        )
        return replace(vassal, details=details)

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError where the system refuses it and the roll has to stop."""
        if isinstance(action, Touch):
            self._touch(action)
        elif isinstance(action, Unsubscribe):
            self._unsubscribe(action)
        elif isinstance(action, Subscribe):
            self._subscribe(action)
        elif isinstance(action, Nudge):
            nudge(action.pid, self._paths[action.vassal])
        elif isinstance(action, SendProbe):
            self._probe(action)
        elif isinstance(action, Pause):
            self._pause(action)
        else:
            self._clear_blacklist(action)

    def _touch(self, action: Touch) -> None:
        try:
            configs.touch(action.path, action.mtime)
        except FileNotFoundError:
            log.info("%s: its config %s is gone", action.vassal, action.path)  # the next look tells the planner
        except OSError as error:
            reason = f"its config {action.path} cannot be touched by user {os.geteuid()}: {error.strerror}"
            raise ActionError(action.vassal, reason) from error

    def _servers(self) -> Mapping[str, Router]:
        return {router.stats.address: router for router in self._surroundings().routers}

    def _unsubscribe(self, action: Unsubscribe) -> None:
        servers = self._servers()
        for node in action.nodes:
            server = servers[node.router].subscription_server
            try:
                send(server, packets.unsubscribe(node))
            except (OSError, UnavailableError) as error:
                reason = (
                    f"cannot be unsubscribed at {server}: {error}; set {PREFIX}subscription-server, "
                    "or let the hook's user write to that socket"
                )
                raise ActionError(action.vassal, reason) from error

    def _subscribe(self, action: Subscribe) -> None:
        """Announce nodes; never an address that the vassal does not listen on, as one of an old journal may be.

        A vassal announces itself too, only later.
        """
        servers = self._servers()
        matched = self._matcher.match(action.nodes, self._pids, self._settings.vassal_config_file_suffix)
        for node in action.nodes:
            if node.router not in servers:
                log.warning("%s: not subscribed at %s, which is no router of this roll", action.vassal, node.router)
                continue
            if node not in matched.get(action.vassal, ()) or not accepts(node.address):
                log.warning(
                    "%s: not subscribed with %s: it does not listen there any more", action.vassal, node.address
                )
                continue
            try:
                send(servers[node.router].subscription_server, packets.subscribe(node))
            except (OSError, UnavailableError) as error:
                log.warning("%s: cannot be subscribed; it will announce itself: %s", action.vassal, error)

    def _probe(self, action: SendProbe) -> None:
        pid = self._pids.get(action.vassal, 0)
        found = vassal_options(pid, self._paths[action.vassal])
        directory = processes.working_directory(pid)
        over_http = [resolve(address, directory) for address in found.get("http-socket", [])]
        plain = [resolve(address, directory) for name in ("socket", "uwsgi-socket") for address in found.get(name, [])]
        addresses = [*(node.address for node in action.nodes), *plain, *over_http]
        if self._prober is None:
            return
        if not addresses:
            self._prober.fail(action.vassal, "no socket of it was found, neither at a router nor in its config")
            return
        host = action.nodes[0].key if action.nodes else "localhost"
        self._prober.start(action.vassal, addresses[0], host, over_http=addresses[0] in over_http)

    def _pause(self, action: Pause) -> None:
        """Signal a master (core/master_utils.c, suspend_resume_them_all): it unsubscribes, and stops its workers."""
        try:
            processes.send_signal(action.pid, signal.SIGTSTP)
        except OSError as error:
            log.warning(
                "%s: cannot be paused (%s), and may get requests; stop it, or mend it", action.vassal, error.strerror
            )

    def _clear_blacklist(self, action: ClearBlacklist) -> None:
        """Signal the Emperor (core/emperor.c, emperor_cleanup); the next look makes it scan, and start them."""
        try:
            processes.send_signal(self._emperor_pid, signal.SIGURG)
        except OSError as error:
            log.warning(
                "the Emperor's blacklist cannot be cleared (%s): %s starts when its throttle is over",
                error.strerror,
                ", ".join(action.vassals),
            )
