"""What one look at the Emperor and the routers shows, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

HOOKS_LOAD = 0x686F6F6B
"""The load that the hook's subscribe packets give: no router chooses by it, and the vassal's next packet replaces it.

So a router's stats tell whose word a node's last announcement was. It spells "hook".
"""

__all__ = [
    "DEFAULT_OPTIONS",
    "HOOKS_LOAD",
    "MERCY",
    "Blacklisting",
    "Node",
    "ProbeResult",
    "ProcessFacts",
    "ReloadOptions",
    "Snapshot",
    "Vassal",
]

MERCY = 60
"""Seconds for which a master waits for its workers and mules to end by default (core/init.c)."""


@dataclass(frozen=True, slots=True)
class Node:
    """One address under one subscription key at one router, as the router's stats list it."""

    router: str
    """The router's stats socket: routers have no other name."""
    key: str
    address: str
    modifier1: int = 0
    modifier2: int = 0
    cores: int = 1
    load: int = 0
    weight: int = 1
    ref: int = 0
    """Requests in flight."""
    last_check: int = 0
    """Wall-clock second of the last announcement."""
    death_mark: bool = False

    @property
    def is_announced_by_hook(self) -> bool:
        """Whether its last announcement was a packet of the hook, not of the vassal."""
        return self.load == HOOKS_LOAD

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same of a node from look to look."""
        return self.router, self.key, self.address


@dataclass(frozen=True, slots=True)
class Blacklisting:
    """A vassal's entry in the Emperor's blacklist."""

    first_attempt: int
    """Wall-clock second of the first failure, which differs in a later entry of the same vassal."""
    attempt: int


@dataclass(frozen=True, slots=True)
class ReloadOptions:
    """What a vassal's own options say of its reload, as far as they are known; else uWSGI's defaults."""

    mercy: int = MERCY
    """Seconds for which its master waits at most for what it runs to end, before it re-executes itself."""
    mercy_option: str = "worker-reload-mercy"
    """The option that says so, in words."""
    exits: bool = False
    """Whether it ends, and is started by the Emperor, where others re-execute themselves (`exit-on-reload`)."""


DEFAULT_OPTIONS = ReloadOptions()


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Facts that are read only for the vassals out of service, because they cost system calls."""

    reloads: int | None = None
    """Times the master has re-executed itself, -1 = never, None = not readable.

    uWSGI counts them in `UWSGI_RELOADS`, which is in the environment of every image but the first (core/init.c)."""
    children: frozenset[tuple[int, int]] | None = None
    """The master's living children as (pid, start in clock ticks since boot), without zombies; None = not readable."""
    running: bool = False
    """Whether the master uses a CPU, or waits for one: its interpreter starts, or it imports."""
    loads: bool | None = None
    """Whether the master has not entered its loop yet, because it loads its application; None = not readable."""
    options: ReloadOptions = DEFAULT_OPTIONS
    touch_path: str = ""
    """The path whose mtime the Emperor looks at."""
    touch_also: str = ""
    """Another path to touch, where the Emperor may look at either; empty = it looks at `touch_path`."""
    touch_problem: str = ""
    """Why a touch cannot work, in words; empty = it can."""
    may_set_mtime: bool = True
    """False where this process may only set the mtime to now: it can write the file, but does not own it."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answer of a vassal to a probe."""

    good: bool
    words: str
    status: int = 0
    """The HTTP status of a complete answer; 0 = there was none."""


@dataclass(frozen=True)
class Vassal:
    """One vassal: the Emperor's view of it, joined with its nodes at the routers."""

    id: str
    config_exists: bool = True
    present: bool = True
    """Listed under `vassals` in the Emperor's stats."""
    pid: int = 0
    last_mod: int = 0
    """Wall-clock second of the config's mtime that the Emperor has acted on."""
    last_run: int = 0
    """Wall-clock second of the last start or delivered reload."""
    accepting: bool = False
    """Whether requests to it are answered: by the Emperor's word a worker accepts, or it rests."""
    rests: bool = False
    """Whether its master itself waits for a request, because it has no worker (`cheap`, `idle`)."""
    respawns: int = 0
    cursed: bool = False
    blacklisted: Blacklisting | None = None
    on_demand: bool = False
    """The Emperor starts it when something connects to its socket, and it may go back to sleep."""
    first_run: int = 0
    """Wall-clock second of the Emperor's entry, which stays while it sleeps, and is another one once it has died."""
    exclusion: str = ""
    """Why this vassal is never rolled by itself (the hook's own, a router, asleep); empty = it is."""
    nodes: tuple[Node, ...] = ()
    foreign_keys: frozenset[str] = frozenset()
    """Keys of its nodes that another process announced: they count for no minimum, and are not waited for."""
    withheld_keys: frozenset[str] = frozenset()
    """Keys under which it announces itself only once a file is gone (`subscribe2` with `check`)."""
    log: str = ""
    """The file that it logs to; empty = not known."""
    may_subscribe: bool = True
    """False where its config subscribes it to no router, even if a router still lists it."""
    announces_itself: bool | None = True
    """False where it starts unsubscribed and may miss the order to subscribe; None = not known."""
    announce_wait: float = 12.0
    """Seconds in which it announces itself, if it ever does: every `subscribe-freq` cycles of its master, and two."""
    details: ProcessFacts | None = None
    probe: ProbeResult | None = None
    """The answer to the last probe; None = none yet."""

    @property
    def is_lost(self) -> bool:
        """Whether the Emperor runs it from a config that the hook does not find, because its path is another one."""
        return not self.config_exists and self.present and not self.cursed

    @property
    def is_asleep(self) -> bool:
        """Whether it has no process until something connects to its socket, which starts it with the code of then."""
        return self.on_demand and self.present and self.pid <= 0 and not self.cursed

    @cached_property
    def keys(self) -> frozenset[str]:
        """The subscription keys of its own under which some router lists it, dead or alive, and it wants to be."""
        keys = frozenset([node.key for node in self.nodes])
        return keys - self.foreign_keys - self.withheld_keys if self.foreign_keys or self.withheld_keys else keys


_NONE: frozenset[str] = frozenset()
_EVER = float("-inf")


@dataclass(frozen=True)
class Snapshot:
    """One look at the Emperor and all routers."""

    wall: float
    vassals: Mapping[str, Vassal]
    tolerances: Mapping[str, float] = field(default_factory=dict)
    """Router to the seconds after which it takes a silent node for dead (`subscription-tolerance`, core/uwsgi.c).

    One that is missing here has a tolerance that is not known: there a node is dead by its death mark alone.
    """
    clocks: Mapping[str, float] = field(default_factory=dict)
    """Router to the time by its own clock, in which it gives `last_check`: it may be on another host."""
    emperor_seconds: float = 0.0
    """Seconds that a read of the Emperor's stats takes, in which its one thread does nothing else."""
    unowned: frozenset[str] = frozenset()
    """Addresses of router nodes that match no vassal that the hook can see."""
    way_to_see: str = ""
    """What would let the hook see whose sockets they are, as an instruction; empty = nothing that it knows of."""
    cpus: int = 0
    """How many CPUs the vassals share; 0 = not known."""
    emperor_pid: int = 0
    """If it changes during a roll, the Emperor was restarted, and with it every vassal."""
    emperor_problem: str = ""
    """Why no vassal of this Emperor can be reloaded by a touch, in words; empty = they can."""
    routers: Mapping[str, int] = field(default_factory=dict)
    """Router to its pid. If it changes, the router was restarted, and its table begins empty."""
    resubscribing: frozenset[str] = frozenset()
    """Routers that pass each packet on to an outer one with their own address, so that to drain there does harm."""

    @cached_property
    def live(self) -> Mapping[str, tuple[Node, ...]]:
        """For each vassal those of its nodes that requests are being sent to now."""
        oldest = {router: self.clocks[router] - seconds for router, seconds in self.tolerances.items()}.get
        return {
            vassal.id: tuple(
                [node for node in vassal.nodes if not node.death_mark and node.last_check >= oldest(node.router, _EVER)]
            )
            for vassal in self.vassals.values()
        }

    @cached_property
    def served(self) -> Mapping[str, frozenset[str]]:
        """For each vassal the keys that it serves: it accepts, it is subscribed, and it is not about to be stopped."""
        return {
            vassal.id: frozenset([node.key for node in nodes]) - vassal.foreign_keys
            if vassal.accepting and vassal.present and vassal.config_exists and not vassal.cursed
            else _NONE
            for vassal, nodes in zip(self.vassals.values(), self.live.values(), strict=True)
        }
