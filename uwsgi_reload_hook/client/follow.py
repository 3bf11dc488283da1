"""Touches a trigger, and follows the roll of that touch by the status file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.exit_codes import OF_RESULT, ExitCode
from uwsgi_reload_hook.records import status_reader
from uwsgi_reload_hook.records.directories import UntrustedError
from uwsgi_reload_hook.records.files import Directory
from uwsgi_reload_hook.records.status import (
    RollDocument,
    State,
    StatusDocument,
    VassalDocument,
    history_name,
    journal_name,
    status_name,
)

__all__ = ["Follower", "Status", "has_run", "touch"]

LOOK = 0.1
"""Seconds between two looks at the status file."""
ABSENCE = 1.2
"""Seconds without a living hook after which none is running, because a killed mule is back sooner."""
RETURN = 15.0
"""The same after a living hook was seen, because a restarted Emperor takes longer to start the hook again."""
KEYS = frozenset({"message", "request-id", "only"})
"""The keys of a trigger's text; these and the limits, in characters, are those of site/trigger.py."""
TEXT_LIMIT = 4096
VALUE_LIMIT = 256


def touch(trigger: Path, fields: Mapping[str, str]) -> int:
    """Touch the trigger, with a text of `fields` if there are any; returns its mtime in ns.

    Foreign content (a REVISION, say) is never changed: a touch without text leaves it, one with text raises OSError, as
    for a link. The text of an earlier touch is replaced or removed. The file keeps its owner and mode.
    """
    directory = Directory(trigger.parent)
    if not fields and not _has_text(directory, trigger.name):
        return directory.touch(trigger.name)
    # The hook reads no more of a value. Its lines are joined, because a second one could name another key.
    values = {key: " ".join(value.splitlines())[:VALUE_LIMIT] for key, value in fields.items()}
    text = "".join(f"{key}={value}\n" for key, value in values.items())
    try:
        return directory.rewrite(trigger.name, text, _is_ours, TEXT_LIMIT)
    except UntrustedError as error:
        raise UntrustedError(
            trigger, f"{error.strerror}; name the trigger itself, a file that is empty or has only the text of a touch"
        ) from error


def _has_text(directory: Directory, name: str) -> bool:
    try:
        content = directory.read(name, TEXT_LIMIT, anybodys=True)
    except OSError:  # no such file, or a link, or longer than a trigger's text
        return False
    return content != b"" and _is_ours(content)


def _is_ours(content: bytes) -> bool:
    """Whether a file has nothing but lines of a trigger's text, and blank ones."""
    lines = (line.partition("=") for line in content.decode(errors="replace").splitlines() if line.strip())
    return all(equals and key.strip() in KEYS for key, equals, _ in lines)


@dataclass(frozen=True, slots=True)
class Status:
    """One reading of the status file; None where there is none that can be used."""

    document: StatusDocument | None

    @property
    def roll(self) -> RollDocument | None:
        """The roll that is shown, if there is one."""
        return None if self.document is None else self.document["roll"]

    @property
    def hook_pid(self) -> int | None:
        """The pid of the hook that writes it; None if that process has ended, even where another one has its pid now.

        A status without start ticks, as an earlier version wrote it, counts as one of an ended process.
        """
        if self.document is None or not status_reader.is_alive(self.document["hook"]):
            return None
        return self.document["hook"]["pid"]

    @property
    def is_unseen(self) -> bool:
        """Whether it cannot be known from here if the process that writes it lives."""
        if self.document is None:
            return False
        hook = self.document["hook"]
        return hook.get("start_ticks") is not None and status_reader.is_alive(hook) is None

    @property
    def delay(self) -> str | None:
        """Why a hook cannot start yet, empty if it has just begun; None = it has started, or does not run."""
        if self.document is None or self.document["state"] != State.STARTING.value or self.hook_pid is None:
            return None
        return self.document.get("reason", "")


class _Patience:
    """Judges, from reading to reading of the status, whether a hook will answer."""

    def __init__(self, status: Status, note: Callable[[str], None]) -> None:
        self._last = self._alive = status
        self._note = note
        self._noted = ""
        self._delayed_since: float | None = None
        self._limit = RETURN if status.is_unseen else ABSENCE
        self._seen = time.monotonic()

    def is_over(self, status: Status, now: float) -> bool:
        """Whether no hook lives. One that was seen alive is given time, because it may be started again."""
        # Not every process can be seen by everybody: what is written is a sign of life too.
        if self._lives(status) or (status.document is not None and status != self._last):
            self._seen, self._limit, self._last = now, RETURN, status
        return now - self._seen >= self._limit

    def cannot_start(self, status: Status, now: float) -> bool:
        """Whether a hook lives that has not been able to start for a while. The reason is noted at once."""
        if status.delay is None:
            self._delayed_since = None
            return False
        if status.delay and status.delay != self._noted:
            self._noted = status.delay
            self._note(f"waits, because the hook cannot start yet: {status.delay}")
        self._delayed_since = self._delayed_since or now
        return now - self._delayed_since >= RETURN

    def _lives(self, status: Status) -> bool:
        """Whether the hook runs: that which wrote the status, or did so before the file was lost."""
        if status.hook_pid is not None:
            self._alive = status
        return self._alive.hook_pid is not None


def has_run(trigger: Path, directory: Path) -> bool:
    """Whether a hook has ever run for a trigger, by the files in its state directory; yes where that cannot be read."""
    for name in (status_name(trigger.name), journal_name(trigger.name)):
        try:
            os.lstat(directory / name)
        except FileNotFoundError:
            continue
        except OSError:  # this user may not look there
            pass
        return True
    return False


class Follower:
    """Follows the roll that answers a touch; one roll may answer several touches."""

    def __init__(
        self,
        trigger: Path,
        directory: Path | None,
        changed: Callable[[str, VassalDocument], None],
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Create it before the touch, because rolls that have ended by then are no answer, whatever the clocks say.

        `directory` is the hook's state directory, if that is not the trigger's. `changed` is called for each change of
        a vassal's phase, with its id and its entry in the status file; `note` with what else is worth a line.
        """
        self._trigger = trigger
        self._directory = Directory(directory or trigger.parent)
        self._path = (directory or trigger.parent) / status_name(trigger.name)
        self._history = history_name(trigger.name)
        self._changed = changed
        self._phases: dict[tuple[str, str], str] = {}
        self._ended_before = self._directory.size(self._history)
        self._before = self.read()
        self._note = note
        roll = self._before.roll
        self._past = roll if roll is not None and roll["result"] in OF_RESULT else None

    def read(self) -> Status:
        """Read the status file; one that cannot be read counts as absent."""
        try:
            return Status(status_reader.read(self._path))
        except (OSError, status_reader.StatusError):
            return Status(None)

    def follow(self, mtime_ns: int, seconds: float | None) -> tuple[int, str]:
        """Wait for the end of the roll that answers a touch of that mtime; returns an exit code and why, in words."""
        began = time.monotonic()
        patience = _Patience(self._before, self._note)
        followed = None
        while True:
            status, now = self.read(), time.monotonic()
            roll = self._answer(status.roll, mtime_ns, followed)
            if roll is not None:
                followed = roll["id"]
                self._report(roll)
                if (code := OF_RESULT.get(roll["result"] or "")) is not None:
                    return code, _verdict(roll)
            if status.document is not None and status.document.get("void_mtime_ns", -1) >= mtime_ns:
                return ExitCode.NO_HOOK, "the touch came before the first start of a hook, so it is void: touch again"
            if patience.is_over(status, now):
                return ExitCode.NO_HOOK, self._no_hook()
            if patience.cannot_start(status, now):
                return ExitCode.NO_HOOK, f"the hook cannot start: {status.delay}. The touch waits until it can"
            if seconds is not None and now - began >= seconds:
                return ExitCode.TIME, f"the roll has not ended in {seconds:g} s; it goes on"
            time.sleep(LOOK)

    def absence(self) -> str:
        """Why nobody acts on a touch now, as far as one look tells; empty = somebody does, or it is not known."""
        status = self._before
        if status.delay:
            return f"the hook cannot start: {status.delay}. The touch waits until it can"
        if status.document is None:
            return "" if has_run(self._trigger, self._directory.path) else self._no_hook()
        return self._no_hook() if status_reader.is_alive(status.document["hook"]) is False else ""

    def _no_hook(self) -> str:
        if has_run(self._trigger, self._directory.path):
            return f"no hook is running for it ({self._path}): the touch waits until there is one"
        return (
            f"no hook is running for it, and none ever has ({self._path} does not exist): this touch gives no roll. "
            "Start the hook, then touch again; or name its --state-directory, if that is another one"
        )

    def _answer(self, shown: RollDocument | None, mtime_ns: int, followed: str | None) -> RollDocument | None:
        """The roll that answers the touch, None if none has begun.

        Between two looks one roll may end and the next one begin: then only the history has the first.
        """
        now = [] if shown is None else [shown]
        candidates = now if shown is not None and shown["id"] == followed else [*self._ended(), *now]
        for roll in candidates:
            if roll != self._past and roll["request"]["mtime_ns"] >= mtime_ns:
                return roll
        return None

    def _ended(self) -> Iterator[RollDocument]:
        if self._directory.size(self._history) < self._ended_before:
            self._ended_before = 0  # the history was begun again
        try:
            lines = self._directory.read(
                self._history, status_reader.LIMIT, offset=self._ended_before, anybodys=True
            ).splitlines()
        except OSError:
            return
        for line in lines:
            with contextlib.suppress(status_reader.StatusError):
                yield status_reader.decode_roll(line)

    def _report(self, roll: RollDocument) -> None:
        for id_, entry in roll["vassals"].items():
            known = (roll["id"], id_)
            if self._phases.get(known, "pending") != entry["phase"]:
                self._phases[known] = entry["phase"]
                self._changed(id_, entry)


def _verdict(roll: RollDocument) -> str:
    counts = [entry["phase"] for entry in roll["vassals"].values()]
    text = f"{roll['result']}: {counts.count('done')} of {len(counts)} vassals reloaded"
    return f"{text}; {roll['reason']}" if roll["reason"] else text
