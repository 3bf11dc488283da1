"""What happens to a roll, as values. The recorder tells each to its observers: the log, the status file, the history.

A new sink is a new observer in a file of its own, and one line where a home wires it. Observers run in the loop, one
after the other, so an observer must not wait; what it cannot write it keeps for a later event.
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
    """What happens to one roll: `roll` as it is then."""

    roll: Roll


@dataclass(frozen=True)
class RollBegan(RollEvent):
    """A roll was opened, or refused at once; no act was made yet."""

    touched_before: Seconds
    """How long before that the trigger was touched."""


class RollResumed(RollEvent):
    """A roll that another process has begun is taken up. `VassalMoved` follows for what was seen of each vassal."""


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
    """Whether the step has changed what is on record of the roll."""


class RollInterrupted(RollEvent):
    """The hook was stopped. The next one resumes the roll."""


class RollRestored(RollEvent):
    """What an unfinished roll had taken out of service is back, or failed, or the hook was stopped before.

    A whole roll is still owed.
    """


class RollEnded(RollEvent):
    """A roll has its result, and is still in the journal: told again if the hook is killed before `RollClosed`."""


class RollClosed(RollEvent):
    """A roll that has ended has left the journal: told once, or never if the hook is killed after `RollEnded`."""


Event = HookStarted | HookDelayed | TouchVoid | RollEvent
Observer = Callable[[Event], None]
"""Whoever is told what happens."""
