"""Writes the status file as a roll goes on."""

from __future__ import annotations

from typing import Protocol

from uwsgi_reload_hook.planning.roll import Result, Roll
from uwsgi_reload_hook.records import events
from uwsgi_reload_hook.records.events import Event
from uwsgi_reload_hook.records.status import (
    HookInfo,
    RollDocument,
    State,
    StatusDocument,
    roll_document,
    status_document,
)

__all__ = ["StatusFile", "StatusStore"]


class StatusStore(Protocol):
    """What the status file needs of a store."""

    def write_status(self, document: StatusDocument) -> None:
        """Replace the status file."""

    def last_roll(self) -> RollDocument | None:
        """The last roll that ended, as the status file has it."""

    def flush(self) -> None:
        """Write what could not be written before."""


class StatusFile:
    """An observer that writes the present state, and the last roll."""

    def __init__(self, store: StatusStore, hook: HookInfo) -> None:
        """`hook` is this process."""
        self._store = store
        self._hook = hook

    def __call__(self, event: Event) -> None:
        """Write what an event changes. A step is written after its acts, so that they do not wait for the file."""
        match event:
            case events.HookStarted():
                last = self._store.last_roll()
                good = {Result.DONE.value, Result.INTERRUPTED.value}
                self._write(State.IDLE if last is None or last["result"] in good else State.HELD, last)
            case events.RollBegan(roll) | events.RollResumed(roll) | events.StepTaken(roll, True):
                if roll.result is None:
                    self._show(State.ROLLING, roll)
            case events.StepTaken():
                self._store.flush()
            case events.RollInterrupted(roll) | events.RollRestored(roll):
                self._show(State.IDLE, roll)
            case events.RollEnded(roll):
                self._show(State.IDLE if roll.result is Result.DONE else State.HELD, roll)
            case _:
                pass

    def _show(self, state: State, roll: Roll) -> None:
        self._write(state, roll_document(roll))

    def _write(self, state: State, roll: RollDocument | None) -> None:
        self._store.write_status(status_document(state.value, self._hook, roll))
