"""The status file and the history: their names, and the documents that they hold (status_reader.py reads them)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, TypedDict

from uwsgi_reload_hook import __version__
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.codec import words
from uwsgi_reload_hook.records.journal import SCHEMA
from uwsgi_reload_hook.site import processes

__all__ = [
    "HookInfo", "RollDocument", "State", "StatusDocument", "VassalDocument",
    "history_name", "journal_name", "roll_document", "status_document", "status_name",
]  # fmt: skip


def status_name(trigger: str) -> str:
    """The name of the status file, from that of the trigger."""
    return f"{trigger}.status.json"


def journal_name(trigger: str) -> str:
    """The name of the journal, from that of the trigger."""
    return f"{trigger}.journal"


def history_name(trigger: str) -> str:
    """The name of the history, from that of the trigger."""
    return f"{trigger}.history.jsonl"


class State(Enum):
    """What a hook is doing."""

    STARTING = "starting"
    """It runs, and cannot act on a touch yet. One that comes meanwhile gives its roll later."""
    IDLE = "idle"
    ROLLING = "rolling"
    HELD = "held"
    """The last roll did not end in `done`: the site stays as that roll left it until the next touch."""


class _HookDocument(TypedDict):
    pid: Annotated[int, range(1, 2**31)]
    mode: str
    version: str
    started: float


class HookDocument(_HookDocument, total=False):
    """The process that writes the files; `started` in Unix seconds. Earlier versions do not write the rest.

    A pid has 31 bits in Linux.
    """

    start_ticks: int | None
    boot_id: str
    pid_namespace: int


class RequestDocument(TypedDict):
    """What the touch asked for."""

    mtime_ns: int
    request_id: str
    message: str
    only: str


class _VassalDocument(TypedDict):
    phase: Annotated[str, words(Phase)]
    keys: list[str]
    reason: str
    since: float | None
    started: float | None
    touched: float | None
    finished: float | None


class VassalDocument(_VassalDocument, total=False):
    """One vassal in a roll. All times are Unix seconds. Earlier versions do not write the rest."""

    failure: Annotated[str, words(Failure)] | None


class RollDocument(TypedDict):
    """One roll, also a line of the history. All times are Unix seconds."""

    id: str
    request: RequestDocument
    started: float | None
    finished: float | None
    result: Annotated[str, words(Result)] | None
    reason: str
    minimum: dict[str, int]
    vassals: dict[str, VassalDocument]
    left_alone: dict[str, str]


class _StatusDocument(TypedDict):
    schema: Annotated[int, (SCHEMA,)]
    state: Annotated[str, words(State)]
    hook: HookDocument
    roll: RollDocument | None


class StatusDocument(_StatusDocument, total=False):
    """The whole file. Earlier versions do not tell the rest."""

    reason: str
    """Why a hook that is starting cannot start yet; empty = it has just begun."""
    void_mtime_ns: int
    """The touch that came before the first start ever of a hook for this trigger, so that it gives no roll."""


@dataclass(frozen=True, slots=True)
class HookInfo:
    """The process that writes the files."""

    pid: int
    mode: str
    version: str
    started: float
    """Unix seconds, for people; `start_ticks` and `boot_id` identify the process, because a wall clock may jump."""
    start_ticks: int | None = None
    """When the process was started, in clock ticks since boot; None = not known."""
    boot_id: str = ""
    """The id of the boot, because another boot may have the same pid and ticks."""
    pid_namespace: int = 0
    """Where the pid counts; 0 = not known."""

    @classmethod
    def of_this_process(cls, mode: str) -> HookInfo:
        """Describe this process."""
        pid = os.getpid()
        ticks, boot, namespace = processes.started(pid), processes.boot_id(), processes.pid_namespace()
        return cls(pid, mode, __version__, time.time(), ticks, boot, namespace)


def status_document(state: str, hook: HookInfo, roll: RollDocument | None) -> StatusDocument:
    """The status file's contents; `roll` is a `roll_document`. All times are Unix seconds."""
    writer: HookDocument = {
        "pid": hook.pid,
        "mode": hook.mode,
        "version": hook.version,
        "started": hook.started,
        "start_ticks": hook.start_ticks,
        "boot_id": hook.boot_id,
    }
    if hook.pid_namespace:
        writer["pid_namespace"] = hook.pid_namespace
    return {"schema": SCHEMA, "state": state, "hook": writer, "roll": roll}


def roll_document(roll: Roll) -> RollDocument:
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
        "left_alone": dict(sorted(roll.excluded.items())),
    }


def _request(request: Request) -> RequestDocument:
    return {
        "mtime_ns": request.mtime_ns,
        "request_id": request.request_id,
        "message": request.message,
        "only": request.only,
    }


def _progress(progress: Progress, roll: Roll) -> VassalDocument:
    return {
        "phase": progress.phase.value,
        "keys": sorted(progress.keys),
        "reason": progress.reason,
        "failure": None if progress.failure is None else progress.failure.value,
        "since": roll.wall(progress.since),
        "started": roll.wall(progress.times.started),
        "touched": roll.wall(progress.times.restarted),
        "finished": roll.wall(progress.times.finished),
    }
