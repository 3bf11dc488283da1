"""Puts what happens on record: the log, the status file, the journal, the history."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from uwsgi_reload_hook.planning.roll import Phase, Request, Result, Roll
from uwsgi_reload_hook.records.journal import Journal, shifted
from uwsgi_reload_hook.records.status import RollDocument, roll_document, status_document
from uwsgi_reload_hook.records.store import HookInfo, Store
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["Recorder"]

log = logging.getLogger(__name__)


class Recorder:
    """Knows which touch was acted on last, and which keys each vassal was seen to serve."""

    def __init__(self, store: Store, info: HookInfo) -> None:
        self._store = store
        self._info = info
        self._journal = Journal()
        self._found: Journal | None = None
        """What a first start ever begins with; None = the process has not begun to wait, or is not the first."""
        self._shown: RollDocument | None = None
        self._behind = False
        """Whether the status file does not show yet what the last step changed."""

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
        self._shown = self._store.last_roll()
        result = self._shown["result"] if self._shown is not None else Result.DONE.value
        self._write("idle" if result in {Result.DONE.value, Result.INTERRUPTED.value} else "held")
        return unfinished

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

    def saw(self, snapshot: Snapshot, roll: Roll) -> None:
        """Remember the keys of every vassal that has nodes; one in flight may have lost some of them to the roll."""
        flying = {id_ for id_, one in roll.vassals.items() if one.phase.in_flight}
        seen = {one.id: one.keys for one in snapshot.vassals.values() if one.keys and one.id not in flying}
        self._journal = replace(self._journal, keys={**self.known_keys, **seen})

    def begun(self, roll: Roll, touched_before: float) -> None:
        """Record the beginning of a roll, `touched_before` seconds after its trigger was touched.

        The keys go into the journal: should the hook be killed in the middle, its vassals in flight show none.
        """
        keys = {one.id: one.keys for one in roll.vassals.values() if one.keys}
        self._journal = replace(self._journal, keys={**self.known_keys, **keys})
        self._save(roll if roll.result is None else None, roll.started)
        for id_, why in sorted(roll.aside.items()):
            log.info("%s is left alone: %s", id_, why)
        text = f" ({roll.request.message})" if roll.request.message else ""
        minimum = ", ".join(f"{number} of {key}" for key, number in sorted(roll.minimum.items())) or "none"
        log.info(
            "roll %s begins, %.3f s after the touch%s: %d vassals, of which must serve: %s",
            roll.id,
            touched_before,
            text,
            len(roll.vassals),
            minimum,
        )
        if roll.result is None:
            self._show("rolling", roll)

    def resumed(self, before: Roll, after: Roll, now: float) -> None:
        """Record that a roll is taken up which an earlier hook has begun. It may have fewer vassals than before."""
        log.info("roll %s is taken up where the process before this one was", after.id)
        self._save(after, now)
        self._show("rolling", after)
        self.moved(replace(before, stop=after.stop), after, now)

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        """Record what one step changed, before it is acted on; `acted` then shows it."""
        changed = [id_ for id_, new in after.vassals.items() if new.phase is not before.vassals[id_].phase]
        for id_ in changed:
            old, new = before.vassals[id_], after.vassals[id_]
            level = logging.ERROR if new.phase is Phase.FAILED else logging.INFO
            seconds = new.since - old.since
            log.log(level, "%s: %s -> %s after %.2f s: %s", id_, old.phase.value, new.phase.value, seconds, new.reason)
        if after.stop is not None and before.stop is None:
            log.error("roll %s takes no further vassal: %s", after.id, after.reason)
        if after.result is None and (changed or after.stop is not before.stop or after.minimum != before.minimum):
            self._save(after, now)
            self._behind = True

    def acted(self, roll: Roll) -> None:
        """Show a step that has been acted on in the status file. A hook goes on from its journal: this can wait."""
        if self._behind and roll.result is None:
            self._show("rolling", roll)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what could not be written so far, and can be now."""
        self._store.flush()

    def ended(self, roll: Roll, now: float) -> None:
        """Record the end of a roll. Its touch counts as acted on, unless the hook was stopped in the middle."""
        if roll.result is Result.INTERRUPTED:
            self._save(replace(roll, result=None, reason=roll.reason if roll.stop else "", finished=None), now)
            self._show("idle", roll)
            log.info(
                "roll %s is interrupted after %.2f s: %s. It goes on when the hook is back", *_end(roll), roll.reason
            )
            return
        # The status first: a hook killed in between ends the roll once more; the other way nobody would hear of it.
        self._show("idle" if roll.result is Result.DONE else "held", roll)
        usual = self._journal.usual_load if roll.quickest_load is None else roll.quickest_load
        self._journal = replace(self._journal, handled=_signature(roll.request), usual_load=usual)
        self._save(None, now)
        self._store.append_history(roll_document(roll))
        _log_result(roll)

    def _show(self, state: str, roll: Roll) -> None:
        self._shown = roll_document(roll)
        self._behind = False
        self._write(state)

    def _write(self, state: str) -> None:
        self._store.write_status(status_document(state, self._info, self._shown))


def _signature(request: Request | None) -> tuple[int, int] | None:
    return None if request is None else (request.mtime_ns, request.inode)


def _end(roll: Roll) -> tuple[str, float]:
    return roll.id, (roll.finished or roll.started) - roll.started


def _log_result(roll: Roll) -> None:
    ids = {phase: [one.id for one in roll.vassals.values() if one.phase is phase] for phase in Phase}
    reloaded = len(ids[Phase.DONE])
    if roll.result is Result.DONE:
        reason = f": {roll.reason}" if roll.reason else ""
        log.info("roll %s is done after %.2f s: %d vassals reloaded%s", *_end(roll), reloaded, reason)
        return
    log.error(
        "roll %s is over after %.2f s, %s: %s. Reloaded: %d; failed: %s; not touched, on the code they had: %s. "
        "Mend it and touch again",
        *_end(roll),
        roll.result.value if roll.result else "unfinished",
        roll.reason,
        reloaded,
        ", ".join(ids[Phase.FAILED]) or "none",
        ", ".join(ids[Phase.PENDING]) or "none",
    )
