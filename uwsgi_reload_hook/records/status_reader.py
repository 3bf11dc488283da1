"""The one reader of the status file and the history, for whoever looks at a hook from outside.

Whoever may write to the state directory can have written them, so nothing in them is taken for granted: what is given
back has every field of status.py's documents, with its type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

from uwsgi_reload_hook.planning.roll import Failure, Phase, Result
from uwsgi_reload_hook.records.files import Directory
from uwsgi_reload_hook.records.journal import SCHEMA
from uwsgi_reload_hook.records.status import RollDocument, StatusDocument

__all__ = ["LIMIT", "StatusError", "decode", "decode_roll", "encode", "read"]

LIMIT = 16 * 2**20
"""Bytes: fifty times the status of a roll of 1,000 vassals, about 300 kB."""
DIGITS = 20
"""The longest whole number, the trigger's mtime, has 19 digits. To read one takes the square of its length."""
PIDS = 2**31
"""What a pid is below: the kernel's type for it has 32 bits, and a sign."""

Check = Callable[[object, str], None]
"""Looks at a value, and its place in words. Raises StatusError."""


class StatusError(ValueError):
    """A status file is none; the text says why, in one line."""


def read(path: Path) -> StatusDocument:
    """Read a status file, whoever wrote it. Raises OSError, or StatusError where it is none."""
    return decode(Directory(path.parent).read(path.name, LIMIT, anybodys=True))


def decode(content: bytes) -> StatusDocument:
    """Raise StatusError for what is no status of this schema. Fields that are not known are kept, and not looked at."""
    document = _loaded(content)
    _STATUS(document, "document")
    return cast("StatusDocument", document)


def decode_roll(content: bytes) -> RollDocument:
    """Decode a line of the history. Raises StatusError."""
    document = _loaded(content)
    _ROLL(document, "line")
    return cast("RollDocument", document)


def encode(document: StatusDocument) -> str:
    """Make JSON of it again, in ASCII only. Raises StatusError where an unknown field is nested too deeply."""
    try:
        return json.dumps(document, indent=1)
    except RecursionError as error:
        raise StatusError("it is nested too deeply") from error


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


def _object(fields: Mapping[str, Check], later: Mapping[str, Check] = MappingProxyType({})) -> Check:
    """An object that has all of `fields`, and maybe those of `later`, which earlier versions do not write."""

    def check(value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise StatusError(f"its {place} is no object")
        for name, one in fields.items():
            if name not in value:
                raise StatusError(f"its {place} has no {name}")
            one(value[name], name)
        for name in later.keys() & value.keys():
            later[name](value[name], name)

    return check


def _each(one: Check, kind: type[dict[str, object] | list[object]]) -> Check:
    """An object or an array whose values are all of one kind."""

    def check(value: object, place: str) -> None:
        if not isinstance(value, kind):
            raise StatusError(f"its {place} is no {'object' if kind is dict else 'array'}")
        for inner in value.values() if isinstance(value, dict) else value:
            one(inner, f"{place}: a value")

    return check


def _one_of(*words: str) -> Check:
    return _is(lambda value: isinstance(value, str) and value in words, f"none of {', '.join(words)}")


def _is(good: Callable[[object], bool], otherwise: str) -> Check:
    def check(value: object, place: str) -> None:
        if not good(value):
            raise StatusError(f"its {place} is {otherwise}")

    return check


def _or_null(one: Check) -> Check:
    return lambda value, place: None if value is None else one(value, place)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TEXT = _is(lambda value: isinstance(value, str), "no text")
_WHOLE = _is(_is_whole, "no whole number")
_NUMBER = _is(lambda value: _is_whole(value) or isinstance(value, float), "no number")
_MOMENT = _or_null(_NUMBER)
_VASSAL = _object(
    {
        "phase": _one_of(*(phase.value for phase in Phase)),
        "keys": _each(_TEXT, list),
        "reason": _TEXT,
        "since": _MOMENT,
        "started": _MOMENT,
        "touched": _MOMENT,
        "finished": _MOMENT,
    },
    {"failure": _or_null(_one_of(*(failure.value for failure in Failure)))},
)
_ROLL = _object(
    {
        "id": _TEXT,
        "request": _object({"mtime_ns": _WHOLE, "request_id": _TEXT, "message": _TEXT, "only": _TEXT}),
        "started": _MOMENT,
        "finished": _MOMENT,
        "result": _or_null(_one_of(*(result.value for result in Result))),
        "reason": _TEXT,
        "minimum": _each(_WHOLE, dict),
        "vassals": _each(_VASSAL, dict),
        "left_alone": _each(_TEXT, dict),
    }
)
_STATUS = _object(
    {
        "schema": _is(lambda value: value == SCHEMA and _is_whole(value), f"not {SCHEMA}"),
        "state": _one_of("starting", "idle", "rolling", "held"),
        "hook": _object(
            {
                "pid": _is(lambda value: isinstance(value, int) and value is not True and 0 < value < PIDS, "no pid"),
                "mode": _TEXT,
                "version": _TEXT,
                "started": _NUMBER,
            },
            {"start_ticks": _or_null(_WHOLE), "boot_id": _TEXT},
        ),
        "roll": _or_null(_ROLL),
    }
)
