"""The events of a roll, as values. The recorder passes each to its observers: the log, the status file, the history.

A new sink is a new observer in a module of its own, and one line where a home wires it. Observers run in the loop, one
after the other, so an observer must not block; it keeps what it cannot write for a later event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uwsgi_reload_hook.clocks import Seconds
from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Roll

__all__ = [
    "Event", "HookDelayed", "HookStarted", "Observer", "RollBegan", "RollClosed", "RollEnded", "RollInterrupted",
    "RollRestored", "RollResumed", "RollStopping", "StepTaken", "TouchVoid", "VassalMoved",
]  # fmt: skip


@dataclass(frozen=True)
class HookStarted:
    """The hook has read its journal. No roll is under way, or `RollResumed` follows."""


@dataclass(frozen=True)
class HookDelayed:
    """The hook cannot start yet."""

    reason: str
    """Why, in words; empty = it has just begun."""


@dataclass(frozen=True)
class TouchVoid:
    """A touch came before the first start ever of a hook for its trigger, so that it gives no roll."""

    mtime_ns: int


@dataclass(frozen=True)
class RollEvent:
    """An event of one roll; `roll` is its state at that time."""

    roll: Roll


@dataclass(frozen=True)
class RollBegan(RollEvent):
    """A roll was opened, or refused at once; no act was made yet."""

    touched_before: Seconds
    """Seconds from the touch of the trigger to the beginning of the roll."""


class RollResumed(RollEvent):
    """A roll of an earlier process is resumed. `VassalMoved` follows for each vassal that is in another phase now."""


@dataclass(frozen=True)
class VassalMoved(RollEvent):
    """A step moves a vassal into another phase. The acts of the step follow."""

    before: Progress
    after: Progress


class RollStopping(RollEvent):
    """No further vassal is taken; the roll ends when none is out of service. `roll.reason` says why."""


@dataclass(frozen=True)
class StepTaken(RollEvent):
    """The acts of a step are made."""

    changed: bool
    """Whether the step has changed the journal."""


class RollInterrupted(RollEvent):
    """The hook was stopped. The next one resumes the roll."""


class RollRestored(RollEvent):
    """The vassals of an unfinished roll are back in service, or failed, or the hook was stopped before.

    A whole roll has yet to follow.
    """


class RollEnded(RollEvent):
    """A roll has its result, and is still in the journal: it comes again if the hook is killed before `RollClosed`."""


class RollClosed(RollEvent):
    """An ended roll has left the journal: it comes once, or never if the hook is killed after `RollEnded`."""


Event = HookStarted | HookDelayed | TouchVoid | RollEvent
Observer = Callable[[Event], None]
"""Is called with each event."""
