"""The outside as the controller knows it: a look at everything, and the acts. The real one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.option_sources import from_uwsgi_opt
from uwsgi_reload_hook.planning.actions import Action, Look
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes, vassal_config
from uwsgi_reload_hook.site.actuator import Scene, perform
from uwsgi_reload_hook.site.authority import Authority, Emperor, identify, options_of_hook, own_users
from uwsgi_reload_hook.site.discovery import Endpoints, Home, discover, find_emperor, given_to, instance_of
from uwsgi_reload_hook.site.ownership import NodeMatcher
from uwsgi_reload_hook.site.peers import Peer, is_listener, listening_pid
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.sockets import is_here
from uwsgi_reload_hook.site.subscriptions import ForeignKeys, configured_keys
from uwsgi_reload_hook.site.vassal_config import vassal_options
from uwsgi_reload_hook.snapshot import Node, ProcessFacts, Snapshot, Vassal
from uwsgi_reload_hook.uwsgi import ini, stats

__all__ = ["UwsgiSite"]

log = logging.getLogger(__name__)

SAID = 100
"""Different texts of subscribers that are repeated in the log: one who makes up more of them fills no disk."""
ARGUMENTS = 100
"""Of the Emperor's command: one of them names the config of the instance whose mule the hook may be."""


class UwsgiSite:
    """One Emperor, its vassals, and the routers they subscribe to."""

    def __init__(self, settings: Settings, home: Home) -> None:
        """Nothing is looked for yet."""
        self._settings = settings
        self._home = home
        self._around: Endpoints | None = None
        self._emperor_pid = 0
        self._matcher = NodeMatcher(processes.listening, processes.parent, time.monotonic, listening_pid)
        self._paths: dict[str, str] = {}
        self._monitors: dict[str, str] = {}
        self._hosts: dict[int, int | None] = {}
        self._read = (0, 0.0)
        """The number of vassals, and the seconds of the quickest read of the Emperor's stats since it has so many."""
        self._said: set[str] = set()
        self._pids: dict[str, int] = {}
        self._foreign = ForeignKeys(self._configured_keys)
        self._foreign_keys: Mapping[str, frozenset[str]] = {}
        self._prober = Prober(settings.probe, settings.timeout) if settings.probe else None

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def connect(self) -> None:
        """Find the sockets, anew. Raises UnavailableError that says which is missing and what to set."""
        self._around = discover(self._settings, self._home)
        self._emperor_pid = self._around.emperor_pid

    def emperor(self) -> Emperor:
        """What stands for this Emperor where hooks lock each other out. Raises UnavailableError, ConfigError."""
        return identify(stats.emperor(self._surroundings().emperor.read()))

    def authority(self) -> Authority:
        """Who may act for this Emperor at this moment. It raises UnavailableError where the Emperor is not found."""
        return Authority(self._emperor_pid, self._configs)

    def _configs(self) -> dict[int, str]:
        """The pid of each vassal that runs, and the path of its config. Raises UnavailableError."""
        return self._paths_of(stats.emperor(self._surroundings().emperor.read()))

    def _paths_of(self, told: stats.EmperorStats) -> dict[int, str]:
        given = self._settings.emperor_path
        return {
            entry.pid: vassal_config.config_path(entry.id, entry.monitor, told.cwd, given)
            for entry in told.vassals
            if entry.pid > 0
        }

    def own_config(self) -> str:
        """The path of the hook's own config. Raises UnavailableError."""
        found, _ = find_emperor(self._settings, self._home)
        told = stats.emperor(found.read())
        if path := self._paths_of(told).get(self._home.own_pid):
            return path
        raise UnavailableError(f"the Emperor lists no vassal with the hook's pid {self._home.own_pid}")

    def hook_options(self, hook: Peer) -> tuple[dict[str, list[str]], str]:
        """The options of the hook that is the process `hook`, and where its relative paths start.

        The words of a process lead this one only if it is root's or this user's own. Of a hook of another user, the
        Emperor's too, the config alone counts, without relative paths, and that only if nobody else can change it.
        Raises UnavailableError.
        """
        stats_socket = self._surroundings().emperor
        told = stats.emperor(stats_socket.read())
        paths = self._paths_of(told)
        vassal = next((pid for pid in (hook.pid, processes.parent(hook.pid)) if pid in paths), None)
        own = own_users()
        if hook.uid not in own or processes.sole_user(hook.pid) != hook.uid:
            named = [paths[vassal]] if vassal else processes.command_line(told.pid)[:ARGUMENTS]
            hooks = (options_of_hook(one.partition("=")[2] if one.startswith("--") else one, own) for one in named)
            found = next(filter(None, hooks), {})
            return {name: texts for name, texts in found.items() if os.path.isabs(texts[-1])}, "/"  # noqa: PTH117 - text
        written: ini.Options = {}
        if is_listener(stats_socket.address, own) and processes.sole_user(told.pid) in own:
            written = vassal_options(vassal, paths[vassal]) if vassal else instance_of(told.pid).options
        return {**from_uwsgi_opt(written), **given_to(hook.pid)}, processes.working_directory(hook.pid) or "/"

    def _surroundings(self) -> Endpoints:
        if self._around is None:
            self.connect()
        if self._around is None:
            raise UnavailableError("the Emperor was not found")
        return self._around

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        """Read the Emperor once and each router once, and the processes and configs that `look` asks for.

        `tracked` are ids that are in the snapshot even when the Emperor has forgotten them. Raises UnavailableError.
        """
        around = self._surroundings()
        nodes: list[Node] = []
        gateways: dict[str, int] = {}
        for router in around.routers:
            told = stats.router(router.stats.read(), router.stats.address)
            nodes.extend(told.nodes)
            self._note_left_out(router.stats.address, told.left_out)
            gateways[router.stats.address] = told.pid
        began = time.monotonic()
        document = around.emperor.read()
        took = time.monotonic() - began
        emperor = stats.emperor(document)
        self._note_read(took, len(emperor.vassals))
        self._emperor_pid = emperor.pid  # its master starts it again if it dies
        listed = {entry.id: entry for entry in emperor.vassals}
        ids = {*listed, *emperor.blacklist, *tracked}
        self._pids = {id_: listed[id_].pid if id_ in listed else 0 for id_ in ids}
        owned = self._matcher.match(nodes, self._pids, self._settings.vassal_config_file_suffix)
        self._hosts = {
            pid: self._hosts[pid] if pid in self._hosts else processes.parent(pid) for pid in gateways.values()
        }
        hosts = set(self._hosts.values())
        self._remember_paths(emperor, ids)
        self._foreign_keys = self._foreign.of(owned, listed)
        vassals = {id_: self._vassal(id_, listed.get(id_), emperor, owned.get(id_, ()), hosts) for id_ in sorted(ids)}
        for id_ in {*look.inspect, *(id_ for id_ in look.inspect_if_accepting if vassals[id_].accepting)}:
            vassals[id_] = self._with_details(vassals[id_])
        for id_, answer in (self._prober.results() if self._prober else {}).items():
            if id_ in vassals:
                vassals[id_] = replace(vassals[id_], probe=answer)
        unowned = {node.address for node in nodes} - {node.address for own in owned.values() for node in own}
        return Snapshot(
            wall=time.time(),
            vassals=vassals,
            subscription_tolerance=around.subscription_tolerance,
            emperor_seconds=self._read[1],
            unowned=frozenset(self._may_be_ours(unowned, vassals.values())),
            cpus=len(os.sched_getaffinity(0)),
            emperor_pid=emperor.pid,
            routers=gateways,
        )

    @staticmethod
    def _may_be_ours(addresses: Collection[str], vassals: Collection[Vassal]) -> Collection[str]:
        """Those addresses of nobody that may be a vassal's all the same.

        Where the sockets of each vassal without a node can be seen, a local address that is not among them is none.
        """
        nodeless = (one for one in vassals if one.accepting and not one.nodes and one.may_subscribe)
        if addresses and all(processes.open_files(one.pid) for one in nodeless):
            return [address for address in addresses if not is_here(address)]
        return addresses

    def _note_left_out(self, router: str, words: str) -> None:
        """Say it once: a subscriber can write something new at every look."""
        if words and words not in self._said and len(self._said) < SAID:
            self._said.add(words)
            log.warning("the stats at %s have been read without what a subscriber has spoiled: %s", router, words)

    def _note_read(self, took: float, vassals: int) -> None:
        """Keep the quickest read of so many vassals: in a slower one somebody else has had the CPU."""
        known, quickest = self._read
        self._read = vassals, min(took, quickest) if vassals == known else took

    def _remember_paths(self, emperor: stats.EmperorStats, ids: Collection[str]) -> None:
        monitors = {entry.id: entry.monitor for entry in emperor.vassals}
        default = next(iter(emperor.monitors), "")
        for id_ in ids:
            monitor = monitors.get(id_) or self._monitors.get(id_, default)
            if self._monitors.get(id_) != monitor:
                self._monitors[id_] = monitor
                self._paths[id_] = vassal_config.config_path(id_, monitor, emperor.cwd, self._settings.emperor_path)

    def _configured_keys(self, entry: stats.VassalStats) -> frozenset[str] | None:
        environment = processes.environment(entry.pid) or {}
        return configured_keys(entry, self._paths[entry.id], processes.command_line(entry.pid), environment)

    def _vassal(
        self,
        id_: str,
        entry: stats.VassalStats | None,
        emperor: stats.EmperorStats,
        nodes: tuple[Node, ...],
        hosts: Collection[int | None],
    ) -> Vassal:
        exists = vassal_config.may_exist(self._paths[id_])
        foreign = self._foreign_keys.get(id_, frozenset())
        if foreign:  # its own come first: a probe asks for the host that the first one names
            nodes = tuple(sorted(nodes, key=lambda node: node.key in foreign))
        blacklisted = emperor.blacklist.get(id_)
        if entry is None:
            return Vassal(
                id_, config_exists=exists, present=False, blacklisted=blacklisted, nodes=nodes, foreign_keys=foreign
            )
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
            foreign_keys=foreign,
            may_subscribe=bool(nodes) or vassal_config.may_subscribe(self._paths[id_]),
        )

    def _why_aside(self, entry: stats.VassalStats, hosts: Collection[int | None]) -> str:
        if entry.pid == self._home.own_pid:
            return "the hook's own vassal"
        if entry.pid > 0 and entry.pid in hosts:
            return "it hosts a router"
        if entry.zerg or ":" in entry.id:
            return "a zerg vassal"
        return "an on-demand vassal" if entry.on_demand else ""

    def _with_details(self, vassal: Vassal) -> Vassal:
        nofollow = self._surroundings().nofollow
        found = vassal_config.touchable(self._paths[vassal.id], vassal.last_mod, self._paths.values(), nofollow)
        details = ProcessFacts(
            reloads=processes.reloads(vassal.pid) if vassal.present else None,
            children=processes.children(vassal.pid) if vassal.present else None,
            running=vassal.present and processes.is_running(vassal.pid),
            touch_path=found.path,
            touch_also=found.also,
            touch_problem=found.problem,
            may_set_mtime=found.may_set_mtime,
        )
        return replace(vassal, details=details)

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError where the system refuses it and the roll has to stop."""
        servers = {router.stats.address: router.subscription_server for router in self._surroundings().routers}
        scene = Scene(self._emperor_pid, self._pids, self._paths, servers, self._owners, self._prober)
        perform(action, scene)

    def _owners(self, nodes: Collection[Node]) -> Mapping[str, tuple[Node, ...]]:
        return self._matcher.match(nodes, self._pids, self._settings.vassal_config_file_suffix)
