"""Touches a trigger for somebody, and follows the roll of that touch by the status file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uwsgi_reload_hook import processes

__all__ = ["EXIT_CODES", "EXIT_NO_HOOK", "EXIT_TIME", "Follower", "touch"]

EXIT_CODES = {"done": 0, "failed": 1, "timed-out": 3, "refused": 5}
EXIT_TIME = 3
EXIT_NO_HOOK = 4
LOOK = 0.1
"""Seconds between two looks at the status file."""
ABSENCE = 1.2
"""Seconds without a living hook after which there is none: a mule that was killed is back sooner."""
RETURN = 15.0
"""The same for a hook that was seen alive: an Emperor that is restarted takes its time."""


def touch(trigger: Path, said: Mapping[str, str]) -> int:
    """Touch the trigger, with text if there is something to say; returns its mtime in ns. Raises OSError."""
    if said:
        _write(trigger, "".join(f"{key}={value}\n" for key, value in said.items()))
    elif trigger.exists() and trigger.stat().st_size:
        trigger.write_text("")  # what somebody said before is not said now
    else:
        trigger.touch()
    return trigger.stat().st_mtime_ns


def _write(trigger: Path, text: str) -> None:
    beside = trigger.with_name(f".{trigger.name}.{os.getpid()}")
    try:
        beside.write_text(text)
    except PermissionError:
        trigger.write_text(text)  # whoever may write the file only
    else:
        beside.replace(trigger)


@dataclass(frozen=True, slots=True)
class Status:
    """One reading of the status file; empty where there is none."""

    document: Mapping[str, Any]

    @property
    def roll(self) -> Mapping[str, Any]:
        """The roll that is shown, empty if there is none."""
        roll = self.document.get("roll")
        return roll if isinstance(roll, dict) else {}

    @property
    def hook_pid(self) -> int | None:
        """The process that writes it, None if it does not run: not another one that has its number by now.

        A status without the ticks of its process, as an earlier version wrote it, is of nobody who is known to live.
        """
        hook = self.document.get("hook")
        if not isinstance(hook, dict):
            return None
        pid, ticks, boot = hook.get("pid"), hook.get("start_ticks"), hook.get("boot_id")
        if not isinstance(pid, int) or not isinstance(ticks, int):
            return None
        return pid if ticks == processes.started(pid) and boot == processes.boot_id() else None


class Follower:
    """Follows one roll: that of a touch, also when several touches are answered by one roll."""

    def __init__(
        self, trigger: Path, directory: Path | None, changed: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        """Make it before the touch: what has ended by now is no answer to it, whatever the clocks say.

        `directory` is the hook's state directory, if that is not the trigger's. `changed` is called for each change of
        a vassal's phase, with its id and its entry in the status file.
        """
        directory = directory or trigger.parent
        self._path = directory / f"{trigger.name}.status.json"
        self._history = directory / f"{trigger.name}.history.jsonl"
        self._changed = changed
        self._phases: dict[tuple[str, str], str] = {}
        self._ended_before = self._history.stat().st_size if self._history.exists() else 0
        self._last = self.read()
        roll = self._last.roll
        self._past = roll if roll.get("result") in EXIT_CODES else {}

    def read(self) -> Status:
        """Read the status file; what cannot be read is as good as absent."""
        try:
            document = json.loads(self._path.read_text())
        except (OSError, ValueError):
            document = {}
        return Status(document if isinstance(document, dict) else {})

    def follow(self, mtime_ns: int, seconds: float | None) -> tuple[int, str]:
        """Wait for the end of the roll that answers a touch of that mtime; returns an exit code and why, in words."""
        began = seen = time.monotonic()
        patience = ABSENCE
        followed = None
        while True:
            status, now = self.read(), time.monotonic()
            roll = self._answer(status.roll, mtime_ns, followed)
            followed = roll.get("id", followed)
            self._tell(roll)
            if roll.get("result") in EXIT_CODES:
                return EXIT_CODES[roll["result"]], _verdict(roll)
            if status.hook_pid is not None or status != self._last:  # not every process can be seen by everybody
                seen, patience, self._last = now, RETURN, status
            if now - seen >= patience:
                return EXIT_NO_HOOK, f"no hook is running for it ({self._path}): the touch waits until there is one"
            if seconds is not None and now - began >= seconds:
                return EXIT_TIME, f"the roll has not ended in {seconds:g} s; it goes on"
            time.sleep(LOOK)

    def _answer(self, shown: Mapping[str, Any], mtime_ns: int, followed: str | None) -> Mapping[str, Any]:
        """The roll that answers the touch, empty if none has begun.

        Between two looks one may have ended and the next begun: then only the history has the first.
        """
        candidates = [shown] if shown.get("id") == followed else [*self._ended(), shown]
        for roll in candidates:
            if roll != self._past and int(roll.get("request", {}).get("mtime_ns", 0)) >= mtime_ns:
                return roll
        return {}

    def _ended(self) -> list[Mapping[str, Any]]:
        try:
            with self._history.open() as file:
                file.seek(self._ended_before)
                return [json.loads(line) for line in file]
        except (OSError, ValueError):
            return []

    def _tell(self, roll: Mapping[str, Any]) -> None:
        for id_, entry in roll.get("vassals", {}).items():
            known = (str(roll.get("id")), id_)
            if self._phases.get(known, "pending") != entry["phase"]:
                self._phases[known] = entry["phase"]
                self._changed(id_, entry)


def _verdict(roll: Mapping[str, Any]) -> str:
    counts = [entry["phase"] for entry in roll.get("vassals", {}).values()]
    text = f"{roll['result']}: {counts.count('done')} of {len(counts)} vassals reloaded"
    return f"{text}; {roll['reason']}" if roll.get("reason") else text
