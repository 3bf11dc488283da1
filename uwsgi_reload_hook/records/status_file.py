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
from uwsgi_reload_hook.records.status_reader import is_alive

__all__ = ["StatusFile", "StatusStore"]


class StatusStore(Protocol):
    """What the status file needs of a store."""

    def write_status(self, document: StatusDocument) -> None:
        """Replace the status file."""

    def read_status(self) -> StatusDocument | None:
        """What the status file says; None if there is none to read."""

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
        self._delay: str | None = None
        """Why the hook cannot start, as it was written last; None = it was not written."""
        self._void: int | None = None

    def __call__(self, event: Event) -> None:
        """Write what an event changes. A step is written after its acts, so that they do not wait for the file."""
        match event:
            case events.TouchVoid(mtime_ns):
                self._void = mtime_ns
            case events.HookDelayed(reason):
                self._show_delay(reason)
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

    def _show_delay(self, reason: str) -> None:
        """Show why the hook cannot start, unless the status is that of another hook that runs."""
        shown = self._store.read_status()
        if shown is not None and shown["hook"]["pid"] != self._hook.pid and is_alive(shown["hook"]):
            self._delay = None
        elif reason != self._delay:
            self._delay = reason
            self._write(State.STARTING, shown and shown["roll"], reason)

    def _show(self, state: State, roll: Roll) -> None:
        self._write(state, roll_document(roll))

    def _write(self, state: State, roll: RollDocument | None, reason: str | None = None) -> None:
        document = status_document(state.value, self._hook, roll)
        if reason is not None:
            document["reason"] = reason
        if self._void is not None:
            document["void_mtime_ns"] = self._void
        self._store.write_status(document)
