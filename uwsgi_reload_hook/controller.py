"""The one loop: wait, look, plan, record, act. It owns the only state that changes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from queue import Empty, SimpleQueue
from typing import Protocol

from uwsgi_reload_hook.errors import ActionError, UnavailableError
from uwsgi_reload_hook.planning import announcing, opening, planner, recovery
from uwsgi_reload_hook.planning.actions import Action, Look, Step
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["Controller", "Inbox", "Site", "TriggerFile"]

log = logging.getLogger(__name__)

IDLE_LOOK = 2.0
"""Seconds between two looks at the trigger's mtime, because some file systems report no events."""

SETTLE = 0.015
"""Seconds for which the trigger has to stay as it is before a roll begins."""


class Site(Protocol):
    """What the controller needs of the Emperor, the routers and the vassals."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        """Read the stats once, and of the processes what `look` asks for. Raises UnavailableError.

        `tracked` are ids that are in the snapshot even when the Emperor has forgotten them.
        """

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError."""


class TriggerFile(Protocol):
    """What the controller needs of the trigger."""

    def start(self) -> None:
        """Begin to notify."""

    def stop(self) -> None:
        """End the notifications."""

    def request(self) -> Request | None:
        """The request of the file as it is now; None = there is no file."""


class Inbox:
    """The queue through which threads and signal handlers reach the loop. To put is safe in a signal handler."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[bool] = SimpleQueue()
        self.stopped = False

    def wake(self) -> None:
        """End a wait: the trigger may have changed."""
        self._queue.put(False)

    def stop(self) -> None:
        """Ask the loop to end."""
        self._queue.put(True)

    def wait(self, seconds: float | None) -> bool:
        """Wait for a message, or for `seconds` (None = for ever); returns whether the loop has to end."""
        try:
            while not self.stopped:
                self.stopped = self._queue.get(timeout=seconds)
                seconds = 0.0  # read all messages, because one touch makes several events
        except Empty:
            pass
        return self.stopped


class Controller:
    """Waits for touches of the trigger, and rolls the vassals."""

    def __init__(self, site: Site, trigger: TriggerFile, settings: Settings, recorder: Recorder, inbox: Inbox) -> None:
        self._site = site
        self._trigger = trigger
        self._settings = settings
        self._recorder = recorder
        self._inbox = inbox
        self._emperor_pid = 0
        self._announces = True
        """Whether vassals may be in a router by the hook's packets alone: those of the hook before, or of a roll."""

    def run(self) -> None:
        """Run until the inbox says to stop. A trigger touched since the last roll began is acted on at once."""
        unfinished = self.unfinished_roll()
        self._trigger.start()
        try:
            if unfinished is not None:
                self.resume_roll(unfinished)
            while not self._inbox.stopped:
                request = self._trigger.request()
                if request is not None and self._recorder.is_new(request):
                    self._roll(self._settled(request))
                else:
                    self._recorder.flush()
                    self._inbox.wait(IDLE_LOOK)
                    self._keep_announced()
        finally:
            self._trigger.stop()

    def _keep_announced(self) -> None:
        """Announce, between two rolls, the vassals that do not do so themselves, for as long as there are any."""
        if self._inbox.stopped or not self._announces:
            return
        try:
            seen = self._site.look((), Look())
        except UnavailableError:
            return  # at the next turn
        self._announces = any(announcing.unheard(vassal, seen) for vassal in seen.vassals.values())
        for act in announcing.keep(seen):
            self._site.perform(act)

    def unfinished_roll(self) -> Roll | None:
        """Read the journal, once; returns the roll that the previous hook left unfinished."""
        return self._recorder.resume(self._trigger.request(), self._now())

    def resume_roll(self, roll: Roll) -> Roll | None:
        """Resume an unfinished roll; returns it as it ended, None if the hook was stopped before."""
        return self._recover(roll, recovery.resume)

    def restore(self, roll: Roll) -> None:
        """Return to service the vassals that an unfinished roll has taken out, and touch none."""
        self._recover(roll, recovery.restore)

    def run_once(self, request: Request) -> Roll | None:
        """Make one roll; returns it as it ended, None if the hook was stopped before."""
        return self._roll(request)

    def _settled(self, request: Request) -> Request:
        """Wait until the trigger stays unchanged, because a writer truncates the file first."""
        since = self._now()
        while not self._inbox.stopped and (left := SETTLE - (self._now() - since)) > 0:
            self._inbox.wait(left)
            changed = self._trigger.request()
            if changed is not None and changed != request:
                request, since = changed, self._now()
        return request

    def _roll(self, request: Request) -> Roll | None:
        roll = self._open(request)
        if roll is None:
            return None
        self._recorder.begun(roll, roll.started_wall - request.mtime_ns / 1e9)
        return self._drive(roll, Look())

    def _recover(self, roll: Roll, recover: Callable[[Roll, Snapshot, Settings, float], Step]) -> Roll | None:
        """Recover the roll of the previous hook, which may have been killed between any two acts."""
        snapshot = self._see(roll.vassals)  # this look makes the Emperor scan, the next one shows what it has noticed
        snapshot = snapshot and self._see(roll.vassals)
        if snapshot is None:
            return None
        step = recover(roll, snapshot, self._settings, self._now())
        self._recorder.resumed(roll, step.roll, self._now())
        return self._drive(self._act(step), step.look)

    def _drive(self, roll: Roll, look: Look) -> Roll:
        """Take step after step, without watching the trigger: its mtime shows a touch afterwards.

        The hook writes its own files beside it, and handling those events would cost more CPU than the roll.
        """
        self._trigger.stop()
        self._announces = True
        try:
            return self._step_on(roll, look)
        finally:
            self._trigger.start()

    def _step_on(self, roll: Roll, look: Look) -> Roll:
        while roll.result is None:
            if self._inbox.wait(look.wait):
                step = planner.end_at_once(roll, self._now(), Result.INTERRUPTED, "the hook was stopped")
            else:
                step = self._plan(roll, look)
            self._recorder.moved(roll, step.roll, self._now())
            roll, look = self._act(step), step.look
            self._recorder.acted(roll)
        self._recorder.ended(roll, self._now())
        return roll

    def _open(self, request: Request) -> Roll | None:
        snapshot = self._see(())
        if snapshot is not None and any(vassal.is_lost for vassal in snapshot.vassals.values()):
            snapshot = self._see(())  # a config was just removed: the second look shows that the Emperor has noticed
        if snapshot is None:
            return None
        memory = opening.Memory(self._recorder.known_keys, self._recorder.usual_load, self._recorder.answers)
        return opening.open_roll(snapshot, self._settings, request, self._now(), memory)

    def _see(self, tracked: Collection[str]) -> Snapshot | None:
        """Look until the stats can be read; None if the hook is stopped before."""
        complained = False
        while not self._inbox.stopped:
            try:
                snapshot = self._site.look(tracked, Look())
            except UnavailableError as error:
                if not complained:
                    log.error("the roll cannot begin yet, and is tried again: %s", error)  # noqa: TRY400 - in words
                complained = True
                self._inbox.wait(self._settings.check_interval)
            else:
                self._emperor_pid = snapshot.emperor_pid
                return snapshot
        return None

    def _plan(self, roll: Roll, look: Look) -> Step:
        try:
            snapshot = self._site.look(roll.vassals, look)
        except UnavailableError as error:
            if roll.blind_since is None:
                log.warning("the roll is on hold, because the stats cannot be read: %s", error)
            return planner.see_nothing(roll, str(error), self._settings, self._now())
        if snapshot.emperor_pid != self._emperor_pid:
            log.warning("the Emperor was restarted during the roll, and with it every vassal")
            self._emperor_pid = snapshot.emperor_pid
            return recovery.resume(roll, snapshot, self._settings, self._now())
        self._recorder.saw(snapshot, roll)
        return planner.plan(snapshot, roll, self._settings, self._now())

    def _act(self, step: Step) -> Roll:
        roll = step.roll
        for action in step.actions:
            try:
                self._site.perform(action)
            except ActionError as error:
                refused = planner.fail_vassal(roll, error.vassal, error.reason, self._now())
                self._recorder.moved(roll, refused.roll, self._now())
                roll = refused.roll
                for undo in refused.actions:
                    with contextlib.suppress(ActionError):  # its reason is that of the act that was refused
                        self._site.perform(undo)
        return roll

    def _now(self) -> float:
        return self._site.monotonic()
