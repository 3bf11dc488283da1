"""What the hook knows and decides, as immutable values. Seconds are floats; `wall` is Unix time, the rest monotonic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

__all__ = [
    "Action",
    "Blacklisting",
    "ClearBlacklist",
    "Details",
    "Node",
    "Nudge",
    "Pause",
    "Phase",
    "ProbeResult",
    "Progress",
    "Request",
    "Result",
    "Roll",
    "SendProbe",
    "Snapshot",
    "Step",
    "Subscribe",
    "Touch",
    "Unsubscribe",
    "Vassal",
]


class Phase(Enum):
    """Where a vassal is in a roll. The value is the word in logs and in the status file."""

    PENDING = "pending"
    DRAINING = "draining"
    TOUCHED = "touched"
    RESTARTING = "restarting"
    WARMING = "warming"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"

    def __init__(self, word: str) -> None:
        """Work out once what every look asks of every vassal."""
        self.in_flight = word in {"draining", "touched", "restarting", "warming"}
        """Whether the hook has taken the vassal out of service, or is reloading it."""


class Result(Enum):
    """How a roll ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


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
class Details:
    """What is read only for the vassals in flight, because it costs system calls for each."""

    reloads: int | None = None
    """Times the master has re-executed itself, -1 = never, None = not readable.

    uWSGI counts them in `UWSGI_RELOADS`, which is in the environment of every image but the first (core/init.c)."""
    children: frozenset[tuple[int, float]] | None = None
    """The master's living children as (pid, start time), without zombies; None = not readable."""
    touch_path: str = ""
    """The path whose mtime the Emperor looks at."""
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
    aside: str = ""
    """Why this vassal is never rolled by itself (the hook's own, a router, on demand); empty = it is."""
    nodes: tuple[Node, ...] = ()
    details: Details | None = None
    probe: ProbeResult | None = None
    """The answer to the last probe; None = none yet."""

    @cached_property
    def keys(self) -> frozenset[str]:
        """The subscription keys under which some router lists it, dead or alive."""
        return frozenset(node.key for node in self.nodes)


_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    """One look at the Emperor and all routers."""

    wall: float
    vassals: Mapping[str, Vassal]
    subscription_tolerance: float = 17.0
    """Seconds after which a router takes a silent node for dead (`subscription-tolerance`, core/uwsgi.c)."""

    def live_keys(self, vassal: Vassal) -> frozenset[str]:
        """The keys under which requests are being sent to `vassal` now."""
        return frozenset(node.key for node in vassal.nodes if self.live(node))

    @cached_property
    def served(self) -> Mapping[str, frozenset[str]]:
        """For each vassal the keys that it serves: it accepts, and it is subscribed."""
        return {
            vassal.id: self.live_keys(vassal) if vassal.present and vassal.accepting and not vassal.cursed else _NONE
            for vassal in self.vassals.values()
        }

    def live(self, node: Node) -> bool:
        """Whether the router of `node` sends requests to it."""
        return not node.death_mark and self.wall - node.last_check <= self.subscription_tolerance


@dataclass(frozen=True, slots=True)
class Request:
    """What a touch of the trigger asked for. Its text is untrusted and changes nothing but which vassals are rolled."""

    mtime_ns: int
    inode: int = 0
    request_id: str = ""
    message: str = ""
    only: str = "*"


@dataclass(frozen=True, slots=True)
class Progress:
    """One vassal in one roll."""

    id: str
    phase: Phase = Phase.PENDING
    since: float = 0.0
    """When it entered the phase."""
    reason: str = ""
    """Why it is in the phase, in words."""
    keys: frozenset[str] = frozenset()
    """Every key it is known to serve, kept when its nodes vanish."""
    started: float | None = None
    """When it left `pending`."""
    finished: float | None = None
    first_pid: int | None = None
    """Its pid when the roll began, None if it was not running: another pid later means newer code."""
    nodes: tuple[Node, ...] = ()
    """Its live nodes as they were before it was taken, to subscribe it again as it was."""
    drained: tuple[Node, ...] = ()
    """Those of them that the hook has unsubscribed, and owes back."""
    pid: int | None = None
    """The pid that must survive the reload; None until it runs."""
    respawns: int = 0
    """The Emperor's count of delivered reloads before the touch."""
    last_mod: int = 0
    """The Emperor's `last_mod` before the touch."""
    reloads: int | None = None
    children: frozenset[tuple[int, float]] | None = None
    new_process: bool = False
    """Whether its process itself began after the roll did, so that no reload needs to be seen."""
    accepts: bool = True
    """Whether it is expected to accept: a vassal of mules only never does."""
    blacklisted: Blacklisting | None = None
    """Its blacklist entry when the hook had the blacklist cleared."""
    acted: float | None = None
    """When it was touched or started anew: the timeout counts from here."""
    looks: int = 0
    """Looks taken in vain: the router has not noticed an unsubscribe packet, or the Emperor a touch."""
    healthy_since: float | None = None
    announced: float | None = None
    """When the hook last sent subscribe packets for it; None = it is still to be probed first."""
    probed: float | None = None
    """When a probe was last sent."""
    awaits_answer: bool = False
    """Whether the answer to that probe is still to be judged."""


@dataclass(frozen=True, slots=True)
class Roll:
    """One rolling reload, from its request to its result."""

    id: str
    request: Request
    started: float
    """Monotonic; `started_wall` is the same moment on the wall clock."""
    started_wall: float
    vassals: Mapping[str, Progress]
    aside: Mapping[str, str] = field(default_factory=dict)
    """Vassals that are not rolled, and why."""
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Key to the number of vassals that must serve."""
    moved: float = 0.0
    """When a phase last changed."""
    blind_since: float | None = None
    """Since when no look has succeeded; None = the last one did."""
    stop: Result | None = None
    """Set when no further vassal may be taken; the roll ends when none is in flight."""
    result: Result | None = None
    reason: str = ""
    finished: float | None = None

    def wall(self, moment: float | None) -> float | None:
        """`moment` on the wall clock, as it stood when the roll began: a later jump of that clock does not matter."""
        return None if moment is None else self.started_wall + (moment - self.started)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Ask the routers to send no further request to these nodes."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Announce these nodes to their routers, as they were."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Touch:
    """Set the mtime of a config; `mtime` in whole seconds, None = now, where only that is allowed."""

    vassal: str
    path: str
    mtime: int | None


@dataclass(frozen=True, slots=True)
class ClearBlacklist:
    """Have the Emperor forget its blacklist, so that it starts these vassals at once."""

    vassals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nudge:
    """Wake a master whose workers have gone: by itself it notices within a second (core/master.c)."""

    vassal: str
    pid: int


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Ask a vassal over its own socket; `nodes` are those it had, for address and host. A later look has the answer."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep a vassal that must not serve out of the routers, until it is reloaded: uWSGI's own pause (SIGTSTP)."""

    vassal: str
    pid: int


Action = Unsubscribe | Subscribe | Touch | ClearBlacklist | Nudge | SendProbe | Pause


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and the roll as it is once that is done."""

    actions: tuple[Action, ...]
    roll: Roll
    wait: float = 0.0
    """Seconds until the next look."""
