"""A roll: what was asked for, where it is, and how it ended. Immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from uwsgi_reload_hook.clocks import Monotonic, Seconds, WallClock
from uwsgi_reload_hook.planning.progress import Phase, Progress

__all__ = ["Mode", "OldAnswer", "Request", "Result", "Roll", "Stage"]


class Stage(Enum):
    """Where a roll is; planning/stages.py says how it moves on."""

    WAITING = "waiting"
    """No vassal was taken yet, and the roll can still be refused."""
    ROLLING = "rolling"
    WINDING_DOWN = "winding down"
    """No further vassal is taken, and those out of service come back."""
    OVER = "over"


class Mode(Enum):
    """What a roll is for."""

    WHOLE = "whole"
    """To reload each of its vassals."""
    RESTORE = "restore"
    """To return to service what an unfinished roll has taken out, and to reload nobody."""


class Result(Enum):
    """How a roll ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Request:
    """What a touch of the trigger asked for. Its text is untrusted and changes nothing but which vassals are rolled."""

    mtime_ns: int
    inode: int = 0
    request_id: str = ""
    message: str = ""
    only: str = "*"
    changed_ns: int = field(default=0, compare=False)
    """When the file was changed in whatever way, in Unix nanoseconds: nobody can set that back; 0 = not known."""


class OldAnswer(NamedTuple):
    """What the old code under a key answers to the probe `auto`."""

    remembered: int = 0
    """The HTTP status of the last roll; 0 = not known, or no answer."""
    status: int | None = None
    """The best HTTP status given in this roll; 0 = it does not answer, None = no answer was seen, or none counts."""
    asked: tuple[str, ...] = ()
    """The vassals asked in this roll, one after another."""
    awaited: bool = False
    """Whether the answer of the last of them is still to come."""

    @property
    def best(self) -> int:
        """The status that the new code is held against; 0 = none."""
        if self.status is None:
            return 0 if self.awaited else self.remembered
        return self.status


@dataclass(frozen=True, slots=True)
class Roll:
    """One rolling reload, from its request to its result."""

    id: str
    request: Request
    started: Monotonic
    """`started_wall` is the same time on the wall clock."""
    started_wall: WallClock
    vassals: Mapping[str, Progress]
    mode: Mode = Mode.WHOLE
    stage: Stage = Stage.WAITING
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Vassals that are not rolled, and why."""
    excluded_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The keys of those vassals as the roll began: they stay members of a key after a restart of its router."""
    left: str = ""
    """Which keys have no room, so that their vassals were left alone, in words; empty = there are none."""
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Key to the number of vassals that must serve."""
    key_routers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Key to the routers that listed vassals under it when the roll began."""
    routers: Mapping[str, int] = field(default_factory=dict)
    """Router to the pid of its process at the last look."""
    ignored_by: frozenset[str] = frozenset()
    """Routers that ignore the hook's packets (signed, or with credentials), so that no vassal is drained there."""
    emperor_pid: int = 0
    """The Emperor that runs the vassals; 0 = not known."""
    forgot: Mapping[str, Monotonic] = field(default_factory=dict)
    """Router to the time at which it was seen to be another process, with an empty table."""
    usual_load: Seconds | None = None
    """Seconds that the quickest load of the last roll took, from touch to accepting; None = not known."""
    old_answers: Mapping[str, OldAnswer] = field(default_factory=dict)
    """By subscription key, or by id of a vassal without one."""
    canary_done: Monotonic | None = None
    """When the last vassal of the first wave was done."""
    last_change: Monotonic = 0.0
    """When a phase last changed."""
    blind_since: Monotonic | None = None
    """Since when no look has succeeded; None = the last one did."""
    stopping: Result | None = None
    """The result that the roll will have, because it failed or ran out of time: no further vassal is taken."""
    result: Result | None = None
    reason: str = ""
    finished: Monotonic | None = None

    @property
    def quickest_load(self) -> float | None:
        """Seconds that the quickest of its loads took, None before there is one."""
        loads = (one.times.load_seconds for one in self.vassals.values())
        return min((seconds for seconds in loads if seconds is not None), default=None)

    @property
    def out(self) -> list[Progress]:
        """The vassals that it has out of service."""
        return [progress for progress in self.vassals.values() if progress.phase.is_out]

    def within(self, phase: Phase) -> list[Progress]:
        """Its vassals that are in a phase."""
        return [progress for progress in self.vassals.values() if progress.phase is phase]

    def wall(self, time: float | None) -> float | None:
        """`time` on the wall clock as set when the roll began, so that later jumps of that clock change nothing."""
        return None if time is None else self.started_wall + (time - self.started)
