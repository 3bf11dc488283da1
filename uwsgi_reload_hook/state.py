"""The files beside the trigger: what is going on (status), what must outlive the hook (journal), what was (history)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from uwsgi_reload_hook import __version__, processes
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.journal import SCHEMA, Journal, decode, encode
from uwsgi_reload_hook.roll import Progress, Request, Roll

__all__ = ["HookInfo", "Store", "emperor_lock", "lock_holder", "roll_document", "status_document"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HookInfo:
    """Who writes the files."""

    pid: int
    mode: str
    version: str
    started: float
    """Unix seconds, for people: a wall clock tells no process from another."""
    start_ticks: int | None = None
    """When the process was started, in clock ticks since boot; None = not known."""
    boot_id: str = ""
    """Of which boot: another one may have the same pid and ticks."""

    @classmethod
    def of_this_process(cls, mode: str) -> HookInfo:
        """Describe the process that asks."""
        pid = os.getpid()
        return cls(pid, mode, __version__, time.time(), processes.started(pid), processes.boot_id())


class Store:
    """Writes the files of one trigger, each replaced whole, so that a reader never sees half of one."""

    def __init__(self, directory: Path, name: str) -> None:
        """`name` is the trigger's file name. Raises ConfigError if the directory cannot be written to."""
        self._status = directory / f"{name}.status.json"
        self._journal = directory / f"{name}.journal"
        self._history = directory / f"{name}.history.jsonl"
        if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
            raise ConfigError(
                f"the state directory {directory} cannot be written to by user {os.geteuid()}; "
                "set reload-hook-state-directory to one that can"
            )

    def write_status(self, document: Mapping[str, Any]) -> None:
        """Replace the status file."""
        with self._said(self._status):
            _replace(self._status, json.dumps(document, indent=1))

    def last_roll(self) -> Mapping[str, Any] | None:
        """The last roll that ended, as the status file has it; None if there is none to read."""
        try:
            roll = json.loads(self._status.read_text())["roll"]
        except _UNUSABLE:
            return None
        return roll if isinstance(roll, dict) and isinstance(roll.get("result"), str) else None

    def write_journal(self, journal: Journal) -> None:
        """Replace the journal."""
        with self._said(self._journal):
            _replace(self._journal, encode(journal))

    def read_journal(self) -> Journal | None:
        """The journal of the hook before; None if there is none. One that cannot be used is set aside, and said."""
        try:
            return decode(self._journal.read_text())
        except FileNotFoundError:
            return None
        except _UNUSABLE as error:
            aside = self._journal.with_name(f"{self._journal.name}.unusable")
            log.warning("the journal %s cannot be used (%s): set aside as %s", self._journal, error, aside.name)
            with self._said(aside):
                self._journal.replace(aside)
            return Journal()

    def append_history(self, document: Mapping[str, Any]) -> None:
        """Add the line of a roll that has ended."""
        with self._said(self._history), self._history.open("a") as file:
            file.write(json.dumps(document) + "\n")

    @contextlib.contextmanager
    def _said(self, path: Path) -> Iterator[None]:
        """Let a file that cannot be written stop nothing: a roll in the middle of a full disk needs its end most."""
        try:
            yield
        except OSError as error:
            self.not_written(path, error)

    def not_written(self, path: Path, error: OSError) -> None:
        """Say that a file could not be written."""
        log.error("%s cannot be written (%s); the hook goes on without", path, error.strerror)


_UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a file raises that somebody has changed, torn or locked away."""


def _replace(path: Path, text: str) -> None:
    """Write beside and rename. Not synced: what a power cut loses, it loses together with the vassals."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text + "\n")
    beside.replace(path)


def status_document(state: str, hook: HookInfo, roll: Mapping[str, Any] | None) -> dict[str, Any]:
    """The status file's contents; `roll` is a `roll_document`. Times are Unix seconds, but for the hook's ticks."""
    return {
        "schema": SCHEMA,
        "state": state,
        "hook": {field.name: getattr(hook, field.name) for field in fields(hook)},
        "roll": roll,
    }


def roll_document(roll: Roll) -> dict[str, Any]:
    """One roll, for the status file and the history."""
    return {
        "id": roll.id,
        "request": _request(roll.request),
        "started": roll.wall(roll.started),
        "finished": roll.wall(roll.finished),
        "result": None if roll.result is None else roll.result.value,
        "reason": roll.reason,
        "minimum": dict(sorted(roll.minimum.items())),
        "vassals": {id_: _progress(progress, roll) for id_, progress in sorted(roll.vassals.items())},
        "left_alone": dict(sorted(roll.aside.items())),
    }


def _request(request: Request) -> dict[str, Any]:
    return {
        "mtime_ns": request.mtime_ns,
        "request_id": request.request_id,
        "message": request.message,
        "only": request.only,
    }


def _progress(progress: Progress, roll: Roll) -> dict[str, Any]:
    return {
        "phase": progress.phase.value,
        "keys": sorted(progress.keys),
        "reason": progress.reason,
        "since": roll.wall(progress.since),
        "started": roll.wall(progress.started),
        "touched": roll.wall(progress.acted),
        "finished": roll.wall(progress.finished),
    }


@contextlib.contextmanager
def emperor_lock(directory: str) -> Iterator[bool]:
    """Try to be the one hook of an Emperor; gives whether that worked.

    The lock is on the Emperor's directory itself: every home of the hook knows it, it needs no file and no permission
    to write, and the kernel frees it when the process ends. Raises ConfigError if the directory cannot be opened.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"the Emperor's directory {directory} cannot be opened: {error.strerror}; let the hook's user read it"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        except OSError as error:
            raise ConfigError(f"the Emperor's directory {directory} cannot be locked: {error.strerror}") from error
        yield held
    finally:
        os.close(descriptor)


def lock_holder(directory: str) -> int | None:
    """The process that holds an Emperor's lock, None where the kernel's list of locks does not tell."""
    inode = Path(directory).stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()  # number, kind, mode, access, pid, major:minor:inode, start, end
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
            return int(words[4]) or None  # 0 = one in another pid namespace
    return None
