"""What the hook has decided: a roll, how far each vassal is in it, and the acts of one step. Immutable values.

Moments are monotonic seconds unless they are said to be on the wall clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from uwsgi_reload_hook.clocks import Monotonic, Seconds, WallClock
from uwsgi_reload_hook.snapshot import Blacklisting, Node

__all__ = [
    "Action",
    "ClearBlacklist",
    "Failure",
    "Mode",
    "Phase",
    "Progress",
    "Request",
    "Result",
    "Roll",
    "SendProbe",
    "Step",
    "Subscribe",
    "Suspend",
    "Touch",
    "Unsubscribe",
    "WakeMaster",
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

    __hash__ = object.__hash__
    """Its own is a function in Python, and each step asks for as many as there are vassals."""

    def __init__(self, word: str) -> None:
        """Work out once what every look asks of every vassal."""
        self.in_flight = word in {"draining", "touched", "restarting", "warming"}
        """Whether the hook has taken the vassal out of service, or is reloading it."""
        self.over = word in {"done", "failed", "withdrawn"}
        """Whether the vassal's part in the roll has ended."""


class Result(Enum):
    """How a roll ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


class Failure(Enum):
    """Why a vassal failed, for programs; its `reason` says it in words."""

    TIMEOUT = "timeout"
    DIED = "died"
    PROBE = "probe"
    UNNOTICED = "unnoticed"
    REFUSED = "refused"


class Mode(Enum):
    """What a roll is to do."""

    WHOLE = "whole"
    RESTORE = "restore"
    """Only to return to service what an unfinished roll has taken out of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a touch of the trigger asked for. Its text is untrusted and changes nothing but which vassals are rolled."""

    mtime_ns: int
    inode: int = 0
    request_id: str = ""
    message: str = ""
    only: str = "*"


class Progress(NamedTuple):
    """One vassal in one roll.

    A tuple: to copy a dataclass of so many fields with a change takes five times as long, and was most of a step.
    """

    id: str
    phase: Phase = Phase.PENDING
    since: Monotonic = 0.0
    """When it entered the phase."""
    reason: str = ""
    """Why it is in the phase, in words."""
    failure: Failure | None = None
    """Why it has failed, None if it has not."""
    keys: frozenset[str] = frozenset()
    """Every key it is known to serve, kept when its nodes vanish."""
    started: Monotonic | None = None
    """When it left `pending`."""
    finished: Monotonic | None = None
    first_pid: int | None = None
    """Its pid when the roll began, None if it was not running: another pid later means newer code."""
    nodes: tuple[Node, ...] = ()
    """Its live nodes as they were before it was taken, to subscribe it again as it was."""
    drained: tuple[Node, ...] = ()
    """Those of them that the hook has unsubscribed, and owes back."""
    ignored_by: frozenset[str] = frozenset()
    """Routers that were seen to take no packets of the hook for it."""
    pid: int | None = None
    """The pid that must survive the reload; None until it runs."""
    respawns: int = 0
    """The Emperor's count of delivered reloads before the touch."""
    last_mod: int = 0
    """The Emperor's `last_mod` before the touch."""
    nudged: bool = False
    """Whether its master was woken, its workers having gone: a moment later it executes itself anew."""
    executed: bool = False
    """Whether its master was seen to have executed itself anew since the touch."""
    reloads: int | None = None
    children: frozenset[tuple[int, int]] | None = None
    new_process: bool = False
    """Whether its process itself began after the roll did, so that no reload needs to be seen."""
    accepts: bool = True
    """Whether it is expected to accept: a vassal of mules only never does."""
    blacklisted: Blacklisting | None = None
    """Its blacklist entry when the hook had the blacklist cleared."""
    acted: Monotonic | None = None
    """When it was touched or started anew: the timeout counts from here."""
    loaded: Seconds | None = None
    """Seconds from its touch, or its start, until it accepted."""
    looks: int = 0
    """Looks taken in vain: the router has not noticed an unsubscribe packet, or the Emperor a touch."""
    healthy_since: Monotonic | None = None
    announced: Monotonic | None = None
    """When the hook last sent subscribe packets for it; None = it is still to be probed first."""
    probed: Monotonic | None = None
    """When a probe was last sent."""
    awaits_answer: bool = False
    """Whether the answer to that probe is still to be judged."""
    unseen_since: Monotonic | None = None
    """Since when it accepts and no router lists it under all of its keys; None = all of them do."""

    @property
    def needs_details(self) -> bool:
        """Whether the next look has to read its processes and its config too, which costs the most."""
        unseen = self.phase is Phase.RESTARTING and not self.new_process and not (self.executed and self.accepts)
        return self.phase is Phase.DRAINING or unseen

    @property
    def needs_workers(self) -> bool:
        """Whether the look that shows it accepting has to read them too: the byte may be that of an earlier start."""
        return self.phase is Phase.RESTARTING and self.executed


@dataclass(frozen=True, slots=True)
class Roll:
    """One rolling reload, from its request to its result."""

    id: str
    request: Request
    started: Monotonic
    """Monotonic; `started_wall` is the same moment on the wall clock."""
    started_wall: WallClock
    vassals: Mapping[str, Progress]
    mode: Mode = Mode.WHOLE
    aside: Mapping[str, str] = field(default_factory=dict)
    """Vassals that are not rolled, and why."""
    aside_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The keys of those vassals as the roll began: they count as members of a key, whatever a router forgets."""
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Key to the number of vassals that must serve."""
    key_routers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Key to the routers that listed vassals under it when the roll began."""
    routers: Mapping[str, int] = field(default_factory=dict)
    """Router to the pid of its process at the last look."""
    ignored_by: frozenset[str] = frozenset()
    """Routers that take no packets of the hook (signed, or with credentials): nobody is drained there in vain."""
    emperor_pid: int = 0
    """The Emperor that runs the vassals; 0 = not known."""
    forgot: Mapping[str, Monotonic] = field(default_factory=dict)
    """Router to the moment when it was seen to be another process, with an empty table."""
    usual_load: Seconds | None = None
    """Seconds that the quickest load of the last roll took, from touch to accepting; None = not known."""
    canary_done: Monotonic | None = None
    """When the last vassal of the first wave was done."""
    moved: Monotonic = 0.0
    """When a phase last changed."""
    blind_since: Monotonic | None = None
    """Since when no look has succeeded; None = the last one did."""
    stop: Result | None = None
    """Set when no further vassal may be taken; the roll ends when none is in flight."""
    result: Result | None = None
    reason: str = ""
    finished: Monotonic | None = None

    @property
    def quickest_load(self) -> float | None:
        """Seconds that the quickest of its loads took, None before there is one."""
        return min((one.loaded for one in self.vassals.values() if one.loaded is not None), default=None)

    def within(self, phase: Phase) -> list[Progress]:
        """Its vassals that are in a phase."""
        return [progress for progress in self.vassals.values() if progress.phase is phase]

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
class WakeMaster:
    """Wake a master whose workers have gone: by itself it notices within a second (core/master.c)."""

    vassal: str
    pid: int


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Ask a vassal over its own socket; `nodes` are those it had, for address and host. A later look has the answer."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Suspend:
    """Keep a vassal that must not serve out of the routers, until it is reloaded: uWSGI's own pause (SIGTSTP)."""

    vassal: str
    pid: int


Action = Unsubscribe | Subscribe | Touch | ClearBlacklist | WakeMaster | SendProbe | Suspend


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and the roll as it is once that is done."""

    actions: tuple[Action, ...]
    roll: Roll
    wait: float = 0.0
    """Seconds until the next look."""
