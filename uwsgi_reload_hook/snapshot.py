"""What one look at the Emperor and the routers shows, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Blacklisting", "Node", "ProbeResult", "ProcessFacts", "Snapshot", "Vassal"]


@dataclass(frozen=True, slots=True)
class Node:
    """One address under one subscription key at one router, as the router's stats tell it."""

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
    """Requests in flight at this moment."""
    last_check: int = 0
    """Wall-clock second of the last announcement."""
    death_mark: bool = False

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same of a node from look to look."""
        return self.router, self.key, self.address


@dataclass(frozen=True, slots=True)
class Blacklisting:
    """A vassal's entry in the Emperor's blacklist."""

    first_attempt: int
    """Wall-clock second of the first failure; it tells one entry from a later one of the same vassal."""
    attempt: int


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What is read only for the vassals in flight, because it costs system calls for each."""

    reloads: int | None = None
    """Times the master has re-executed itself, -1 = never, None = not readable.

    uWSGI counts them in `UWSGI_RELOADS`, which is in the environment of every image but the first (core/init.c)."""
    children: frozenset[tuple[int, int]] | None = None
    """The master's living children as (pid, start in clock ticks since boot), without zombies; None = not readable."""
    running: bool = False
    """Whether the master uses a CPU, or waits for one: its interpreter starts, or it imports."""
    touch_path: str = ""
    """The path whose mtime the Emperor looks at."""
    touch_also: str = ""
    """Another path to touch, where it is not known which of the two that is; empty = it is."""
    touch_problem: str = ""
    """Why a touch cannot work, in words; empty = it can."""
    may_set_mtime: bool = True
    """False where this process may only set the mtime to now: it can write the file, but does not own it."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a vassal has answered a probe, in words too."""

    good: bool
    words: str


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
    """Keys of its nodes that somebody else has announced: they count for no minimum, and are not waited for."""
    may_subscribe: bool = True
    """False where its config says that it serves no router, whatever it has done before."""
    details: ProcessFacts | None = None
    probe: ProbeResult | None = None
    """The answer to the last probe; None = none yet."""

    @property
    def is_lost(self) -> bool:
        """Whether the Emperor runs it, and stops it not, though its config is not found: the path is another one."""
        return not self.config_exists and self.present and not self.cursed

    @property
    def is_asleep(self) -> bool:
        """Whether it has no process until something connects to its socket, which starts it with the code of then."""
        return self.on_demand and self.present and self.pid <= 0 and not self.cursed

    @cached_property
    def keys(self) -> frozenset[str]:
        """The subscription keys of its own under which some router lists it, dead or alive."""
        keys = frozenset([node.key for node in self.nodes])
        return keys - self.foreign_keys if self.foreign_keys else keys


_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    """One look at the Emperor and all routers."""

    wall: float
    vassals: Mapping[str, Vassal]
    subscription_tolerance: float = 17.0
    """Seconds after which a router takes a silent node for dead (`subscription-tolerance`, core/uwsgi.c)."""
    emperor_seconds: float = 0.0
    """What a read of its stats takes the Emperor: it is one thread, and does nothing else meanwhile."""
    unowned: frozenset[str] = frozenset()
    """Addresses at the routers that belong to no vassal that can be seen."""
    cpus: int = 0
    """How many CPUs the vassals share; 0 = not known."""
    emperor_pid: int = 0
    """Another one than before has started every vassal anew: the one before took them with it."""
    emperor_problem: str = ""
    """Why no vassal of this Emperor can be reloaded by a touch, in words; empty = they can."""
    routers: Mapping[str, int] = field(default_factory=dict)
    """Router to the pid of its process: another pid has an empty table until the vassals announce themselves."""

    @cached_property
    def live(self) -> Mapping[str, tuple[Node, ...]]:
        """For each vassal those of its nodes that requests are being sent to now."""
        oldest = self.wall - self.subscription_tolerance
        return {
            vassal.id: tuple([node for node in vassal.nodes if node.last_check >= oldest and not node.death_mark])
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
