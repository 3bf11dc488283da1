"""A fake site: Emperor, routers, vassals and a clock, as uWSGI was measured to behave. It stands in for `UwsgiSite`.

Time passes only in `Clock.wait`, where the controller waits; what happens meanwhile is a list of dated events.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.errors import ActionError, UnavailableError
from uwsgi_reload_hook.planning.actions import (
    Action,
    ClearBlacklist,
    EndRequest,
    Look,
    SendProbe,
    Subscribe,
    Suspend,
    Touch,
    Unsubscribe,
    WakeMaster,
)
from uwsgi_reload_hook.snapshot import HOOKS_LOAD, Blacklisting, Node, ProbeResult, ProcessFacts, Snapshot, Vassal

WALL = 1_000_000.25
"""The wall clock when the monotonic one is 0: not on a whole second."""
EMPEROR_FREQUENCY = 3.0
MASTER_CYCLE = 1.0
TOLERANCE = 17.0
THROTTLE = 0.001
"""Seconds for which the Emperor does not start a vassal that died once; each further death adds a whole one."""
FAILS_AFTER = 0.4
"""Seconds from a start to the death of a vassal whose code does not load."""
ANSWERS_AFTER = 0.005
"""Seconds until a vassal answers a request."""
FAILING = 500
"""The lowest HTTP status of a failed answer."""
DYING = 0.02
"""Seconds from the moment that the Emperor loses touch with a process to its end."""


@dataclass
class FakeVassal:
    """One vassal, its process and its nodes. What may go wrong with it is set from outside."""

    id: str
    keys: tuple[str, ...] = ("app",)
    load: float = 2.0
    routers: tuple[str, ...] = ("router",)
    accepts: bool = True
    announces_after: float = MASTER_CYCLE
    # faults
    broken: bool = False
    """New code does not load: the process dies."""
    hangs: bool = False
    """New code never gets to accept."""
    dies_after: float | None = None
    """So many seconds after new code began to accept its process dies."""
    touch_refused: bool = False
    touch_unnoticed: bool = False
    deaf_router: bool = False
    """Once it was reloaded, routers take no subscribe packet for it, its own included."""
    order_lost: bool = False
    """It starts unsubscribed, and once it was reloaded nobody tells it to announce itself."""
    answers: str = "200 OK"
    """What new code answers to a probe; empty = nothing."""
    old_answers: str = "200 OK"
    """What the code that it runs answers."""
    signed: bool = False
    """Routers take only the vassal's own packets."""
    busy_until: float = 0.0
    """A request is in flight until then."""
    announces_in_drain: bool = False
    # state
    config_exists: bool = True
    present: bool = True
    pid: int = 0
    mtime: int = int(WALL) - 1000
    last_mod: int = int(WALL) - 1000
    respawns: int = 0
    accepting: bool = True
    cursed: bool = False
    reloads: int = -1
    workers: frozenset[tuple[int, int]] = frozenset()
    awaits_master: bool = False
    """Its old workers have gone, and its master has not noticed."""
    start: float = 0.0
    """For so long its master uses a CPU when it has executed itself anew."""
    running_until: float = -1.0
    has_fifo: bool = True
    loyal: bool = True
    """Its process has served a request, so that the Emperor does not blacklist it when it dies."""
    paused: bool = False
    probe: ProbeResult | None = None
    blacklisted: Blacklisting | None = None
    throttled_until: float = 0.0
    code_since: float = -1000.0
    """When the code that it runs was loaded from."""
    nodes: dict[tuple[str, str], Node] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    """Keys that it serves, though a router has forgotten it: it has not come to announce itself again."""

    @property
    def unheard(self) -> bool:
        return self.deaf_router and self.reloads >= 0

    @property
    def address(self) -> str:
        return f"/run/{self.id}.sock"


class SimulatedSite:
    """One Emperor with its vassals and routers; a `Site` for the controller."""

    def __init__(self, vassals: Collection[FakeVassal]) -> None:
        self.now = 0.0
        self.vassals = {vassal.id: vassal for vassal in vassals}
        self.unreadable_until = -1.0
        self.wall_jump = 0.0
        self.performed: list[tuple[float, Action]] = []
        self.looks = 0
        self.cpus = 0
        self.routers = {router: number for number, router in enumerate({r: 0 for v in vassals for r in v.routers}, 2)}
        """Router to the pid of its process."""
        self.signed_routers: frozenset[str] = frozenset()
        """Those that take only the vassals' own packets."""
        self._pids = itertools.count(100)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        for vassal in vassals:
            if vassal.present:
                vassal.pid = next(self._pids)
                vassal.workers = self._fork()
                if vassal.accepting:
                    self.announce(vassal)
        self._every(EMPEROR_FREQUENCY, self._scan)
        self._every(10.0, self._announce_all)

    # what the controller sees

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now + self.wall_jump

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        self.looks += 1
        if self.now < self.unreadable_until:
            raise UnavailableError("the stats socket cannot be read: Connection refused")
        ids = {id_ for id_, one in self.vassals.items() if one.present or one.blacklisted} | set(tracked)
        detailed = {*look.inspect, *(id_ for id_ in look.inspect_if_accepting if self.vassals[id_].accepting)}
        seen = {id_: self._seen(self.vassals[id_], id_ in detailed) for id_ in sorted(ids)}
        self._scan()  # every wake of the Emperor ends in one, after it has answered
        return Snapshot(
            self.wall(),
            seen,
            dict.fromkeys(self.routers, TOLERANCE),
            dict.fromkeys(self.routers, self.wall()),
            cpus=self.cpus,
            routers=dict(self.routers),
        )

    def _seen(self, one: FakeVassal, detailed: bool) -> Vassal:
        nodes = tuple(replace(node, ref=self._ref(one)) for node in one.nodes.values())
        details = None
        if detailed:
            running = self.now < one.running_until
            details = ProcessFacts(reloads=one.reloads, children=one.workers, running=running, touch_path=one.id)
        if not one.present:
            return Vassal(
                one.id, one.config_exists, present=False, blacklisted=one.blacklisted, nodes=nodes, details=details
            )
        return Vassal(
            one.id,
            one.config_exists,
            pid=one.pid,
            last_mod=one.last_mod,
            accepting=one.accepting,
            respawns=one.respawns,
            cursed=one.cursed,
            blacklisted=one.blacklisted,
            nodes=nodes,
            may_subscribe=bool(one.keys),
            announces_itself=not one.order_lost,
            details=details,
            probe=one.probe,
        )

    def _ref(self, one: FakeVassal) -> int:
        return int(self.now < one.busy_until)

    # what the controller does

    def perform(self, action: Action) -> None:
        self.performed.append((self.now, action))
        if isinstance(action, ClearBlacklist):
            for one in self.vassals.values():
                one.blacklisted = None
        elif isinstance(action, Subscribe | Unsubscribe):
            self._route(self.vassals[action.vassal], action)
        else:
            self._act(self.vassals[action.vassal], action)

    def _act(self, one: FakeVassal, action: Touch | WakeMaster | SendProbe | EndRequest | Suspend) -> None:
        if isinstance(action, Touch):
            if one.touch_refused:
                raise ActionError(one.id, "its config cannot be touched")
            one.mtime = action.mtime if action.mtime is not None else int(self.wall())
        elif isinstance(action, SendProbe):
            one.probe = None
            self.at(self.now + ANSWERS_AFTER, lambda: self._answer(one, one.pid, one.reloads))
        elif isinstance(action, EndRequest):
            one.busy_until = self.now
        elif isinstance(action, Suspend):
            one.paused = True
            one.nodes.clear()
            one.forgotten.clear()
        elif one.has_fifo:
            self._execute(one, action.pid)

    def _route(self, one: FakeVassal, action: Subscribe | Unsubscribe) -> None:
        for node in action.nodes:
            if one.signed or node.router in self.signed_routers:
                continue
            if isinstance(action, Unsubscribe):
                one.forgotten.discard(node.key)
                self._leave(one, node.router, node.key)
            elif not one.unheard:
                one.nodes[node.router, node.key] = replace(
                    node, death_mark=False, last_check=int(self.wall()), load=HOOKS_LOAD
                )

    def _answer(self, one: FakeVassal, pid: int, reloads: int) -> None:
        if (one.pid, one.reloads) == (pid, reloads) and not one.paused and one.old_answers:
            status = int(one.old_answers[:3])
            one.probe = ProbeResult(status < FAILING, f"/ is answered with {one.old_answers}", status)

    def _leave(self, one: FakeVassal, router: str, key: str) -> None:
        node = one.nodes.pop((router, key), None)
        if node is not None and self._ref(one):
            one.nodes[router, key] = replace(node, death_mark=True)
            self.at(one.busy_until, lambda: self._forget(one, router, key))
        if one.announces_in_drain:
            one.announces_in_drain = False
            self.at(self.now + 0.5, lambda: self.announce(one))

    def _forget(self, one: FakeVassal, router: str, key: str) -> None:
        if (node := one.nodes.get((router, key))) and node.death_mark:
            del one.nodes[router, key]

    # time

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Let something happen."""
        heapq.heappush(self._events, (moment, next(self._order), event))

    def _every(self, period: float, event: Callable[[], None]) -> None:
        def again() -> None:
            event()
            self.at(self.now + period, again)

        self.at(period, again)

    def pass_time(self, seconds: float) -> None:
        """Let what is due happen, in order."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    # the Emperor

    def _scan(self) -> None:
        for one in self.vassals.values():
            if not one.config_exists:
                self._stop(one)
            elif one.present and not one.cursed and one.mtime > one.last_mod and not one.touch_unnoticed:
                one.last_mod = one.mtime
                one.respawns += 1
                one.accepting = False
                self.reload(one)
            elif not one.present and (one.blacklisted is None or self.now >= one.throttled_until):
                self._start(one)

    def _start(self, one: FakeVassal) -> None:
        one.present, one.cursed, one.accepting, one.awaits_master = True, False, False, False
        one.workers, one.loyal = frozenset(), False
        one.pid, one.respawns, one.reloads, one.last_mod = next(self._pids), 0, -1, one.mtime
        self._load(one)

    def _stop(self, one: FakeVassal) -> None:
        """A vassal that is stopped leaves the routers at once, and ends within its master's cycle."""
        if one.present and not one.cursed:
            one.cursed = True
            one.nodes.clear()
            self._bury_in(MASTER_CYCLE, one)

    def reload(self, one: FakeVassal) -> None:
        """The workers finish what they have, the master notices within its cycle, and executes itself anew."""
        pid = one.pid
        one.nodes.clear()  # unsubscribe-on-graceful-reload
        one.forgotten.clear()

        def finish() -> None:
            if one.present and one.pid == pid:
                one.workers, one.awaits_master = frozenset(), True
                self.at(self.now + MASTER_CYCLE, lambda: self._execute(one, pid))

        self.at(max(self.now, one.busy_until) + 0.01, finish)

    def _execute(self, one: FakeVassal, pid: int) -> None:
        if one.present and one.pid == pid and one.awaits_master:
            one.awaits_master = False
            one.running_until = self.now + one.start
            one.reloads += 1
            self._load(one)

    def _fork(self) -> frozenset[tuple[int, int]]:
        return frozenset({(next(self._pids), int(self.now * 100))})

    def _load(self, one: FakeVassal) -> None:
        pid, since = one.pid, self.now
        one.paused = False
        if one.broken:
            self.at(self.now + FAILS_AFTER, lambda: self.die(one, pid))
        elif not one.hangs:
            self.at(self.now + one.load, lambda: self._accept(one, pid, since))

    def _accept(self, one: FakeVassal, pid: int, since: float) -> None:
        if not one.present or one.pid != pid:
            return
        one.code_since = since
        one.old_answers = one.answers
        one.workers = self._fork()
        one.accepting = one.accepts
        if one.dies_after is not None:
            self.at(self.now + one.dies_after, lambda: self.die(one, pid))
        self._scan()
        self.at(self.now + one.announces_after, lambda: self.announce(one))

    def die(self, one: FakeVassal, pid: int | None = None) -> None:
        """End a vassal's process; the Emperor curses it, forgets it, and starts it again when it may."""
        if one.present and not one.cursed and pid in {None, one.pid}:
            one.cursed, one.accepting = True, False
            self._bury_in(DYING, one)

    def kill(self, one: FakeVassal) -> None:
        """End it by SIGKILL: it has gone by the time that the Emperor hears of it."""
        self._bury(one, one.pid)

    def _bury_in(self, seconds: float, one: FakeVassal) -> None:
        pid = one.pid
        self.at(self.now + seconds, lambda: self._bury(one, pid))

    def _bury(self, one: FakeVassal, pid: int) -> None:
        if one.present and one.pid == pid:
            one.present = one.cursed = one.accepting = False
            one.forgotten.clear()
            if not one.loyal:
                attempt = 0 if one.blacklisted is None else one.blacklisted.attempt + 1
                first = int(self.wall()) if one.blacklisted is None else one.blacklisted.first_attempt
                one.blacklisted = Blacklisting(first, attempt)
                one.throttled_until = self.now + THROTTLE + attempt
            self._scan()

    # the routers

    def announce(self, one: FakeVassal) -> None:
        silent = one.unheard or one.paused or (one.order_lost and one.reloads >= 0)
        if one.present and one.accepting and not one.cursed and not silent:
            for router, key in itertools.product(one.routers, one.keys):
                old = one.nodes.get((router, key)) or Node(router, key, one.address)
                one.nodes[router, key] = replace(old, death_mark=False, last_check=int(self.wall()), load=0)
                one.forgotten.discard(key)

    def forget(self, *routers: str, anew: bool = True, every: float = 10.0) -> None:
        """Empty the tables of routers. `anew`: their processes were started anew; else the nodes are merely gone.

        Vassals announce themselves again within `every` seconds, each at its own moment: ten cycles of their masters,
        or as `subscribe-freq` has it.
        """
        for number, one in enumerate(self.vassals.values()):
            lost = {place: node for place, node in one.nodes.items() if place[0] in routers}
            for place in lost:
                del one.nodes[place]
            one.forgotten |= {key for (_, key), node in lost.items() if not node.death_mark}
            if one.forgotten:
                self.at(self.now + (0.5 + every * 0.37 * number) % every, lambda one=one: self._remember(one))  # type: ignore[misc]
        if anew:
            self.routers |= {router: next(self._pids) for router in routers}

    def _remember(self, one: FakeVassal) -> None:
        if one.forgotten:
            self.announce(one)

    def _announce_all(self) -> None:
        for one in self.vassals.values():
            if any(not node.death_mark for node in one.nodes.values()):
                self.announce(one)

    # what is true, whoever looks

    def serving(self, key: str) -> int:
        """Vassals that accept and have a live node under `key`."""
        return sum(self.serves(one, key) for one in self.vassals.values())

    def able(self, key: str) -> int:
        """Vassals that serve `key`, and those that a router forgot, which are about to serve it again."""
        return sum(self.is_able(one, key) for one in self.vassals.values())

    def is_able(self, one: FakeVassal, key: str) -> bool:
        """Whether it serves, or would if a router had not forgotten it."""
        return self.serves(one, key) or (one.present and one.accepting and not one.cursed and key in one.forgotten)

    def serves(self, one: FakeVassal, key: str) -> bool:
        """Whether it accepts and has a live node under `key`."""
        return (
            one.present
            and one.accepting
            and any(
                node.key == key and not node.death_mark and self.wall() - node.last_check <= TOLERANCE
                for node in one.nodes.values()
            )
        )


class Clock(Inbox):
    """The inbox of a controller in simulated time: waiting is what makes time pass. `after_wait` sees every step.

    A wait lasts at least `tick` seconds: a coarse one makes many worlds affordable.
    """

    def __init__(self, site: SimulatedSite, after_wait: Callable[[], None] = lambda: None, tick: float = 0.001) -> None:
        super().__init__()
        self._site = site
        self._after_wait = after_wait
        self._tick = tick

    def end(self) -> None:
        """Stop the controller at its next wait."""
        self.stopped = True

    def wait(self, seconds: float | None) -> bool:
        self._site.pass_time(max(seconds or 0.0, self._tick))
        self._after_wait()
        return self.stopped
