"""The hook's memory: the touch that was acted on last, the roll under way, and what a later roll needs to know.

It is kept in the journal, which is written before any act. Log, status file and history are the work of the observers.
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
        """The journal of the previous hook; None if there is none."""

    def flush(self) -> None:
        """Write what could not be written before."""


class Recorder:
    """Writes the journal, and passes each event to the observers."""

    def __init__(self, store: JournalStore, observers: Iterable[Observer]) -> None:
        """Each event goes to the observers in this order."""
        self._store = store
        self._observers = tuple(observers)
        self._journal = Journal()
        self._found: Journal | None = None
        """The journal of the first start ever; None = this process is not the first, or does not wait yet."""
        self._changed = False
        """Whether the present step has changed the journal."""

    def waits(self, trigger: Request | None) -> None:
        """Note the trigger as it is when the process begins to wait: for its sockets, for the lock, then for a touch.

        At the first start ever, the touches so far count as acted on, and later ones as new. The journal records that
        at once, so that no touch is lost if the process ends while it waits.
        """
        journal = self._store.read_journal()
        if journal is not None and journal != Journal():
            return
        self._found = journal or Journal(_signature(trigger))
        self._store.write_journal(self._found)
        if journal is None and trigger is not None:
            log.info("the last touch of the trigger came before the first start of a hook for it: touch again to roll")
            self._tell(events.TouchVoid(trigger.mtime_ns))

    def delayed(self, reason: str = "") -> None:
        """Tell that the hook cannot start yet, and why; empty = it has just begun."""
        self._tell(events.HookDelayed(reason))
        self.flush()

    def resume(self, trigger: Request | None, now: float) -> Roll | None:
        """Go on from the previous hook; returns its unfinished roll, with the times moved to this process's clock.

        At the first start ever, the touches before the process began to wait count as acted on; without a wait, the
        touches so far.
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
        """Remember the keys of every vassal in service that has nodes, because the roll unsubscribes the others."""
        out = {one.id for one in roll.out}
        keys = {one.id: one.keys for one in snapshot.vassals.values() if one.keys and one.id not in out}
        self._journal = replace(self._journal, keys={**self.known_keys, **keys})

    def begun(self, roll: Roll, touched_before: float) -> None:
        """Record the beginning of a roll, `touched_before` seconds after its trigger was touched.

        The journal holds the keys, because after a crash no router lists the vassals that are out of service.
        """
        keys = {one.id: one.keys for one in roll.vassals.values() if one.keys}
        self._journal = replace(self._journal, keys={**self.known_keys, **keys})
        self._save(roll if roll.result is None else None, roll.started)
        self._tell(events.RollBegan(roll, touched_before))

    def resumed(self, before: Roll, after: Roll, now: float) -> None:
        """Record that a roll of an earlier hook is resumed. It may have fewer vassals than before."""
        self._save(after, now)
        self._tell(events.RollResumed(after), *_moves(before, after))

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        """Record what one step changes, before its acts."""
        stopping = [events.RollStopping(after)] if after.stopping is not None and before.stopping is None else []
        changes = [*_moves(before, after), *stopping]
        if after.result is None and (changes or (after.minimum, after.left) != (before.minimum, before.left)):
            self._save(after, now)
            self._changed = True
        self._tell(*changes)

    def acted(self, roll: Roll) -> None:
        """Record that the acts of a step are made."""
        self._tell(events.StepTaken(roll, self._changed))
        self._changed = False
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before."""
        self._store.flush()

    def ended(self, roll: Roll, now: float) -> None:
        """Record the end of a roll. Its touch counts as acted on, unless the hook was stopped in the middle."""
        if roll.result is Result.INTERRUPTED or roll.mode is Mode.RESTORE:
            reason = roll.reason if roll.stopping else ""
            self._save(replace(roll, result=None, reason=reason, finished=None), now)
            self._tell(events.RollRestored(roll) if roll.mode is Mode.RESTORE else events.RollInterrupted(roll))
            return
        # The status first: a hook killed in between ends the roll again, and the result is not lost.
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
