"""The one reader of the status file and the history, for programs outside the hook.

Another user who may write to the state directory can have forged them, so that all of it is checked: a document that is
returned has every field of its class in status.py, with its type.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TypeVar

from uwsgi_reload_hook.records import codec
from uwsgi_reload_hook.records.files import Directory
from uwsgi_reload_hook.records.status import HookDocument, RollDocument, StatusDocument
from uwsgi_reload_hook.site import processes

__all__ = ["LIMIT", "StatusError", "decode", "decode_roll", "encode", "is_alive", "read"]

LIMIT = 16 * 2**20
"""Bytes: fifty times the status of a roll of 1,000 vassals, which has about 300 kB."""
DIGITS = 20
"""The longest whole number, the trigger's mtime in ns, has 19. Time to read one grows with the square of its digits."""

T = TypeVar("T")


class StatusError(ValueError):
    """A file is no status file; the text says why, in one line."""


def read(path: Path) -> StatusDocument:
    """Read a status file, whoever owns it. Raises OSError, or StatusError where it is no status file."""
    return decode(Directory(path.parent).read(path.name, LIMIT, anybodys=True))


def decode(content: bytes) -> StatusDocument:
    """Decode a status. Raises StatusError if it is none of this schema. Unknown fields are kept, and not checked."""
    return _decoded(content, StatusDocument)


def decode_roll(content: bytes) -> RollDocument:
    """Decode a line of the history. Raises StatusError."""
    return _decoded(content, RollDocument)


def encode(document: StatusDocument) -> str:
    """Make a status JSON again, in ASCII. Raises StatusError where an unknown field is nested too deeply."""
    try:
        return json.dumps(document, indent=1)
    except RecursionError as error:
        raise StatusError("it is nested too deeply") from error


def is_alive(hook: HookDocument) -> bool | None:
    """Whether the process that wrote a status still runs, and is not another one with its pid; None = not known.

    A process cannot be judged from another pid namespace, nor where /proc hides it, nor without the ticks of its start,
    which an earlier version did not write.
    """
    pid, ticks = hook["pid"], hook.get("start_ticks")
    if hook.get("boot_id") and hook["boot_id"] != processes.boot_id():
        return False
    if hook.get("pid_namespace", 0) not in {0, processes.pid_namespace()}:
        return None
    started = processes.started(pid)
    if started is None:
        return None if processes.is_hidden(pid) else False
    if ticks is None or not hook.get("boot_id"):
        return None
    return started == ticks


def _decoded(content: bytes, kind: type[T]) -> T:
    document = _loaded(content)
    try:
        return codec.decode(document, kind)
    except ValueError as error:
        raise StatusError(f"it is no {kind.__name__.removesuffix('Document').lower()}: {error}") from error


def _loaded(content: bytes) -> object:
    try:
        return json.loads(content.decode(), parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise StatusError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise StatusError("it is not UTF-8") from error
    except ValueError as error:
        raise StatusError(f"it is no JSON: {error}") from error


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
