"""A look at the site: one read of each router and of the Emperor makes a snapshot of all vassals."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.site import emperor_kind, master_loop, processes, vassal_config
from uwsgi_reload_hook.site.announcing_habit import Habit, Habits, read_habit
from uwsgi_reload_hook.site.capabilities import way_to_see
from uwsgi_reload_hook.site.discovery import Endpoints
from uwsgi_reload_hook.site.hook_vassals import HookVassals
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.process_options import may_subscribe
from uwsgi_reload_hook.site.router_reader import RouterReader, not_of_another_host
from uwsgi_reload_hook.site.sockets import is_here
from uwsgi_reload_hook.site.subscriptions import ForeignKeys, configured_keys
from uwsgi_reload_hook.site.vassal_options import OptionsByVassal, emperor_log
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Blacklisting, Node, ProbeResult, ProcessFacts, Snapshot, Vassal
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["Observer"]

log = logging.getLogger(__name__)

WARNINGS = 100
"""Warnings about unreadable subscriptions, at most, so that a subscriber who makes up many fills no disk."""
_NO_KEYS: frozenset[str] = frozenset()
_UNLISTED = stats.VassalStats("", 0, 0, 0, False, 0, False, False, "", "")


@dataclass(frozen=True, slots=True)
class _Sources:
    """What one look has read, by vassal."""

    listed: Mapping[str, stats.VassalStats]
    owned: Mapping[str, tuple[Node, ...]]
    foreign_keys: Mapping[str, frozenset[str]]
    hosts: Collection[int | None]
    """The pids of the processes that host routers."""
    blacklist: Mapping[str, Blacklisting]
    answers: Mapping[str, ProbeResult]
    emperors_log: str


class Observer:
    """Joins the Emperor's stats, the routers' stats and the facts of processes by vassal."""

    def __init__(self, own_pid: int, endpoints: Endpoints, vassals: KnownVassals, prober: Prober | None) -> None:
        """`own_pid` is the pid of the hook's own vassal, 0 = there is none. Each look updates `vassals`."""
        self._own_pid = own_pid
        self._endpoints = endpoints
        self._vassals = vassals
        self._prober = prober
        self._hosts: dict[int, int | None] = {}
        """The pid of each router, and the pid of its parent."""
        self._read = (0, 0.0)
        """The number of vassals, and the seconds of the quickest read of the Emperor's stats with that number."""
        self._warned = Seen(WARNINGS)
        self._foreign = ForeignKeys(self._configured_keys)
        self._hooks = HookVassals()
        self._routers = RouterReader(endpoints.routers)
        self._habits = Habits(self._read_habit)
        self._options = OptionsByVassal()

    def look(self, tracked: Collection[str], to_inspect: Callable[[Mapping[str, Vassal]], Iterable[str]]) -> Snapshot:
        """Read each router once, and then the Emperor once. Raises UnavailableError.

        The snapshot has the vassals of the ids `tracked` even if the Emperor has forgotten them. `to_inspect` chooses
        the ids of those whose process facts are read too.
        """
        routers = self._routers.read()
        emperor_stats = self._read_emperor()
        problem = emperor_kind.problem(emperor_stats)
        if problem and self._warned.is_new(problem):
            log.error("no roll can be made: %s", problem)
        for router, router_stats in routers:
            self._warn(router.stats.address, router_stats.left_out)
        self._vassals.update(emperor_stats, tracked)
        nodes = [node for router, router_stats in routers for node in not_of_another_host(router, router_stats.nodes)]
        owned = self._vassals.owners(nodes)
        pids = {router.stats.address: router_stats.pid for router, router_stats in routers}
        vassals = self._join(emperor_stats, owned, self._router_hosts(pids.values()))
        for id_ in to_inspect(vassals):
            vassals[id_] = self._inspect(vassals[id_])
        unowned = {node.address for node in nodes} - {node.address for own in owned.values() for node in own}
        wall = time.time()
        return Snapshot(
            wall=wall,
            vassals=vassals,
            tolerances=self._routers.tolerances(routers),
            clocks=self._routers.clocks(routers, wall),
            emperor_seconds=self._read[1],
            unowned=frozenset(_may_be_ours(unowned, vassals.values())) | (self._vassals.ambiguous & unowned),
            way_to_see=way_to_see() if unowned else "",
            cpus=len(os.sched_getaffinity(0)),
            emperor_pid=emperor_stats.pid,
            emperor_problem=problem,
            routers=pids,
            resubscribing=self._routers.resubscribing(routers),
        )

    def _read_emperor(self) -> stats.EmperorStats:
        """Read the Emperor's stats, and keep the time of the quickest read, because a slower one waited for a CPU."""
        began = time.monotonic()
        document = self._endpoints.emperor.read()
        took = time.monotonic() - began
        emperor_stats = stats.parse_emperor(document)
        known, quickest = self._read
        vassals = len(emperor_stats.vassals)
        self._read = vassals, min(took, quickest) if vassals == known else took
        return emperor_stats

    def _warn(self, router: str, left_out: str) -> None:
        """Warn of each text once, because a subscriber can write another one at every look."""
        if left_out and self._warned.is_new(left_out):
            log.warning(
                "the stats at %s were read without the entries that a subscriber has made unreadable: %s",
                router,
                left_out,
            )

    def _router_hosts(self, pids: Iterable[int]) -> Collection[int | None]:
        """The pids of the routers' parents, of which a vassal may be one."""
        self._hosts = {pid: self._hosts[pid] if pid in self._hosts else processes.parent(pid) for pid in pids}
        return frozenset(self._hosts.values())

    def _read_habit(self, entry: stats.VassalStats) -> Habit:
        environment = processes.environment(entry.pid) or {}
        return read_habit(entry, self._vassals.paths[entry.id], processes.command_line(entry.pid), environment)

    def _configured_keys(self, entry: stats.VassalStats) -> frozenset[str] | None:
        environment = processes.environment(entry.pid) or {}
        return configured_keys(entry, self._vassals.paths[entry.id], processes.command_line(entry.pid), environment)

    def _join(
        self,
        emperor_stats: stats.EmperorStats,
        owned: Mapping[str, tuple[Node, ...]],
        hosts: Collection[int | None],
    ) -> dict[str, Vassal]:
        """The vassals by id, each with its nodes and with the answer to its probe."""
        listed = {entry.id: entry for entry in emperor_stats.vassals}
        self._options.keep(self._vassals.pids)
        sources = _Sources(
            listed,
            owned,
            self._foreign.of(owned, listed),
            hosts,
            emperor_stats.blacklist,
            self._prober.results() if self._prober else {},
            emperor_log(emperor_stats.pid),
        )
        return {id_: self._vassal(id_, sources) for id_ in sorted(self._vassals.pids)}

    def _vassal(self, id_: str, sources: _Sources) -> Vassal:
        """A vassal as the Emperor lists it, if it does, with its nodes and what its options say."""
        present, entry = id_ in sources.listed, sources.listed.get(id_, _UNLISTED)
        path, nodes = self._vassals.paths[id_], sources.owned.get(id_, ())
        foreign = sources.foreign_keys.get(id_, _NO_KEYS)
        by_hook = entry.pid > 0 and any(node.is_announced_by_hook for node in nodes)
        habit = self._habits.of(entry) if by_hook else Habit(by_itself=True)
        options = self._options.of(id_, entry, path)
        rests = options.may_rest and not entry.accepting and present and self._rests(id_, entry.pid)
        return Vassal(
            id_,
            config_exists=not emperor_kind.has_files(entry.monitor) or vassal_config.may_exist(path),
            present=present,
            pid=entry.pid,
            last_mod=entry.last_mod,
            last_run=entry.last_run,
            accepting=entry.accepting or rests,
            rests=rests,
            respawns=entry.respawns,
            cursed=entry.cursed,
            blacklisted=sources.blacklist.get(id_),
            on_demand=bool(entry.on_demand),
            first_run=entry.first_run,
            exclusion=self._exclusion(entry, path, sources.hosts) if present else "",
            nodes=_own_first(nodes, foreign),
            foreign_keys=foreign,
            withheld_keys=options.withheld_keys,
            log=options.log or sources.emperors_log,
            may_subscribe=bool(nodes) or not present or may_subscribe(entry.pid, path),
            announces_itself=habit.by_itself,
            announce_wait=habit.wait,
            probe=sources.answers.get(id_),
        )

    def _exclusion(self, entry: stats.VassalStats, path: str, hosts: Collection[int | None]) -> str:
        return _exclusion(entry, self._own_pid, hosts) or self._hooks.exclusion(entry, path)

    def _rests(self, id_: str, pid: int) -> bool:
        return master_loop.rests(pid, self._vassals.addresses(id_))

    def _inspect(self, vassal: Vassal) -> Vassal:
        """Add the facts of its process.

        Whether it rests is asked once more after that, so that the rest of an old image is not taken for that of a new.
        """
        details = self._process_facts(vassal)
        if not vassal.rests:
            return replace(vassal, details=details)
        rests = self._rests(vassal.id, vassal.pid)
        return replace(vassal, details=details, accepting=rests, rests=rests)

    def _process_facts(self, vassal: Vassal) -> ProcessFacts:
        paths = self._vassals.paths
        config = vassal_config.touchable(paths[vassal.id], vassal.last_mod, paths.values(), self._endpoints.nofollow)
        return ProcessFacts(
            reloads=processes.reloads(vassal.pid) if vassal.present else None,
            children=processes.children(vassal.pid) if vassal.present else None,
            running=vassal.present and processes.is_running(vassal.pid),
            loads=master_loop.loads(vassal.pid) if vassal.present else None,
            options=self._options.last(vassal.id).reload,
            touch_path=config.path,
            touch_also=config.also,
            touch_problem=config.problem,
            may_set_mtime=config.may_set_mtime,
        )


def _own_first(nodes: tuple[Node, ...], foreign: Collection[str]) -> tuple[Node, ...]:
    """Put the nodes of the vassal's own keys first, because the key of the first node is the host of the probe."""
    if not foreign:
        return nodes
    return tuple(sorted(nodes, key=lambda node: node.key in foreign))


def _exclusion(entry: stats.VassalStats, own_pid: int, hosts: Collection[int | None]) -> str:
    """Why a vassal is left alone, whatever the options; empty = it may be rolled."""
    if entry.pid == own_pid:
        return "the hook's own vassal"
    if entry.pid > 0 and entry.pid in hosts:
        return "it hosts a router"
    if entry.zerg or ":" in entry.id:
        return "a zerg vassal"
    if not emperor_kind.has_files(entry.monitor):
        return f"its config comes from {entry.monitor}, and is no file that a touch could reload"
    asleep = entry.on_demand and entry.pid <= 0 and not entry.cursed
    return "it sleeps on demand: whatever connects to it next starts it with the new code" if asleep else ""


def _may_be_ours(addresses: Collection[str], vassals: Collection[Vassal]) -> Collection[str]:
    """Keep the unowned addresses that may still be a vassal's.

    Only a vassal without a node can own one. Where the sockets of all such vassals can be read, a local address is
    nobody's, because it would have been found among them.
    """
    nodeless = (one for one in vassals if one.accepting and not one.nodes and one.may_subscribe)
    if addresses and all(processes.open_files(one.pid) for one in nodeless):
        return [address for address in addresses if not is_here(address)]
    return addresses
