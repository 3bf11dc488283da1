"""The hook's memory: which touch was acted on last, the roll under way, and what a later roll needs to know.

The journal keeps it, and is written before any act. Whatever else is told of a roll is told by the observers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from uwsgi_reload_hook.planning.old_answers import is_good
from uwsgi_reload_hook.planning.roll import Mode, Request, Result, Roll
from uwsgi_reload_hook.records import events
from uwsgi_reload_hook.records.events import Event, Observer
from uwsgi_reload_hook.records.journal import Journal, shifted
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["JournalStore", "Recorder"]

log = logging.getLogger(__name__)


class JournalStore(Protocol):
    """What the recorder needs of a store."""

    def write_journal(self, journal: Journal) -> None:
        """Replace the journal."""

    def read_journal(self) -> Journal | None:
        """The journal of the hook before; None if there is none."""

    def flush(self) -> None:
        """Write what could not be written before."""


class Recorder:
    """Keeps the journal, and tells the observers what happens."""

    def __init__(self, store: JournalStore, observers: Iterable[Observer]) -> None:
        """Nothing is read or written yet. The observers are told in this order."""
        self._store = store
        self._observers = tuple(observers)
        self._journal = Journal()
        self._found: Journal | None = None
        """What a first start ever begins with; None = the process has not begun to wait, or is not the first."""
        self._changed = False
        """Whether the step that is being acted on has changed the journal."""

    def waits(self, trigger: Request | None) -> None:
        """Note the trigger as it is when the process begins to wait: for its sockets, for the lock, then for a touch.

        At the first start ever, the trigger as it is counts as acted on, and whatever comes later as news. That is
        written down at once, so that a process which ends while it stands by loses no touch either.
        """
        journal = self._store.read_journal()
        if journal is not None and journal != Journal():
            return
        self._found = journal or Journal(_signature(trigger))
        self._store.write_journal(self._found)
        if journal is None and trigger is not None:
            log.info("the last touch of the trigger came before the first start of a hook for it: touch again to roll")

    def resume(self, trigger: Request | None, now: float) -> Roll | None:
        """Go on from the hook before; returns the roll that it left unfinished, its moments moved to the present.

        At the first start ever, the trigger as it was when the process began to wait counts as acted on: as it is, for
        one that has not waited.
        """
        self._journal = self._store.read_journal() or self._found or Journal(_signature(trigger))
        unfinished = self._journal.roll and shifted(self._journal.roll, now - self._journal.saved)
        self._save(unfinished, now)
        self._tell(events.HookStarted())
        return unfinished

    def _tell(self, *what: Event) -> None:
        for event in what:
            for observer in self._observers:
                observer(event)

    def _save(self, roll: Roll | None, now: float) -> None:
        self._journal = replace(self._journal, roll=roll, saved=now)
        self._store.write_journal(self._journal)

    def is_new(self, trigger: Request | None) -> bool:
        """Whether the trigger has changed since the touch that was acted on last."""
        return trigger is not None and _signature(trigger) != self._journal.handled

    @property
    def known_keys(self) -> Mapping[str, frozenset[str]]:
        """The keys that each vassal was last seen to serve."""
        return self._journal.keys or {}

    @property
    def usual_load(self) -> float | None:
        """Seconds that the quickest load of the last roll took, if that is known."""
        return self._journal.usual_load

    @property
    def answers(self) -> Mapping[str, int]:
        """By key, the HTTP status that the old code of the last roll has answered with, where it was below 500."""
        return self._journal.answers or {}

    def saw(self, snapshot: Snapshot, roll: Roll) -> None:
        """Remember the keys of every vassal that has nodes; one in flight may have lost some of them to the roll."""
        out = {one.id for one in roll.out}
        seen = {one.id: one.keys for one in snapshot.vassals.values() if one.keys and one.id not in out}
        self._journal = replace(self._journal, keys={**self.known_keys, **seen})

    def begun(self, roll: Roll, touched_before: float) -> None:
        """Record the beginning of a roll, `touched_before` seconds after its trigger was touched.

        The keys go into the journal: should the hook be killed in the middle, its vassals in flight show none.
        """
        keys = {one.id: one.keys for one in roll.vassals.values() if one.keys}
        self._journal = replace(self._journal, keys={**self.known_keys, **keys})
        self._save(roll if roll.result is None else None, roll.started)
        self._tell(events.RollBegan(roll, touched_before))

    def resumed(self, before: Roll, after: Roll, now: float) -> None:
        """Record that a roll is taken up which an earlier hook has begun. It may have fewer vassals than before."""
        self._save(after, now)
        self._tell(events.RollResumed(after), *_moves(before, after))

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        """Record what one step changes, before it is acted on."""
        stopping = [events.RollStopping(after)] if after.stopping is not None and before.stopping is None else []
        changes = [*_moves(before, after), *stopping]
        if after.result is None and (changes or after.minimum != before.minimum):
            self._save(after, now)
            self._changed = True
        self._tell(*changes)

    def acted(self, roll: Roll) -> None:
        """Record that a step has been acted on."""
        self._tell(events.StepTaken(roll, self._changed))
        self._changed = False
        self.flush()

    def flush(self) -> None:
        """Write what could not be written so far, and can be now."""
        self._store.flush()

    def ended(self, roll: Roll, now: float) -> None:
        """Record the end of a roll. Its touch counts as acted on, unless the hook was stopped in the middle."""
        if roll.result is Result.INTERRUPTED or roll.mode is Mode.RESTORE:
            reason = roll.reason if roll.stopping else ""
            self._save(replace(roll, result=None, reason=reason, finished=None), now)
            self._tell(events.RollRestored(roll) if roll.mode is Mode.RESTORE else events.RollInterrupted(roll))
            return
        # The status first: a hook killed in between ends the roll once more; the other way nobody would hear of it.
        self._tell(events.RollEnded(roll))
        usual = self._journal.usual_load if roll.quickest_load is None else roll.quickest_load
        answers = {key: one.best for key, one in roll.old_answers.items() if is_good(one.best)}
        handled = _signature(roll.request)
        self._journal = replace(self._journal, handled=handled, usual_load=usual, answers=answers or None)
        self._save(None, now)
        self._tell(events.RollClosed(roll))


def _moves(before: Roll, after: Roll) -> list[Event]:
    changes = ((before.vassals[id_], new) for id_, new in after.vassals.items())
    return [events.VassalMoved(after, old, new) for old, new in changes if new.phase is not old.phase]


def _signature(request: Request | None) -> tuple[int, int] | None:
    return None if request is None else (request.mtime_ns, request.inode)
