"""What happens to a roll, as values. The recorder tells each to its observers: the log, the status file, the history.

A new sink is a new observer in a file of its own, and one line where a home wires it. Observers run in the loop, one
after the other, so an observer must not wait; what it cannot write it keeps for a later event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from uwsgi_reload_hook.clocks import Seconds
from uwsgi_reload_hook.planning.roll import Progress, Roll

__all__ = [
    "Event", "HookStarted", "Observer", "RollBegan", "RollClosed", "RollEnded", "RollInterrupted", "RollRestored",
    "RollResumed", "RollStopping", "StepTaken", "VassalMoved",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HookStarted:
    """The hook has read its journal. No roll is under way, or `RollResumed` follows."""


@dataclass(frozen=True, slots=True)
class RollBegan:
    """A roll was opened, or refused at once; no act was made yet."""

    roll: Roll
    touched_before: Seconds
    """How long before that the trigger was touched."""


@dataclass(frozen=True, slots=True)
class RollResumed:
    """A roll that another process has begun is taken up. `VassalMoved` follows for what was seen of each vassal."""

    roll: Roll


@dataclass(frozen=True, slots=True)
class VassalMoved:
    """A step moves a vassal into another phase. The acts of the step follow."""

    roll: Roll
    before: Progress
    after: Progress


@dataclass(frozen=True, slots=True)
class RollStopping:
    """No further vassal is taken; the roll ends when none is out of service. `roll.reason` says why."""

    roll: Roll


@dataclass(frozen=True, slots=True)
class StepTaken:
    """The acts of a step are made."""

    roll: Roll
    changed: bool
    """Whether the step has changed what is on record of the roll."""


@dataclass(frozen=True, slots=True)
class RollInterrupted:
    """The hook was stopped. The next one resumes the roll."""

    roll: Roll


@dataclass(frozen=True, slots=True)
class RollRestored:
    """What an unfinished roll had taken out of service is back, or failed, or the hook was stopped before.

    A whole roll is still owed.
    """

    roll: Roll


@dataclass(frozen=True, slots=True)
class RollEnded:
    """A roll has its result, and is still in the journal: told again if the hook is killed before `RollClosed`."""

    roll: Roll


@dataclass(frozen=True, slots=True)
class RollClosed:
    """A roll that has ended has left the journal: told once, or never if the hook is killed after `RollEnded`."""

    roll: Roll


Event = (
    HookStarted
    | RollBegan
    | RollResumed
    | VassalMoved
    | RollStopping
    | StepTaken
    | RollInterrupted
    | RollRestored
    | RollEnded
    | RollClosed
)


class Observer(Protocol):
    """Whoever is told what happens."""

    def __call__(self, event: Event, /) -> None:
        """Take an event."""
