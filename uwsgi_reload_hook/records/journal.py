"""The journal: what the next hook needs to go on after this one ends, encoded as JSON and decoded again."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from uwsgi_reload_hook.clocks import Clock, Monotonic, Seconds
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.records import codec

__all__ = ["SCHEMA", "Journal", "decode", "encode", "moved", "shifted"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """The content of the journal."""

    handled: tuple[int, int] | None = None
    """(mtime in ns, inode) of the trigger when it was last acted on; None = there was no file."""
    keys: Mapping[str, frozenset[str]] | None = None
    """The subscription keys that each vassal was seen to serve."""
    roll: Roll | None = None
    """The roll under way; each change of a phase is written here before the acts of its step."""
    saved: Monotonic = 0.0
    """When it was written."""
    usual_load: Seconds | None = None
    """Seconds that the quickest load of the last roll took; None = not known."""
    answers: Mapping[str, int] | None = None
    """By key, the HTTP status that the old code of the last roll has answered with, where it was below 500."""


_ALWAYS: Mapping[str, object] = {"handled": None, "keys": None, "roll": None, "saved": 0.0}
"""The fields that every journal has, with their defaults. Other fields are only written if they differ."""


def encode(journal: Journal) -> str:
    """Make the journal JSON. Speed counts, because each step waits for it, with 1,000 vassals too."""
    return json.dumps({"schema": SCHEMA, **_ALWAYS, **codec.written(journal)}, default=codec.plain)


def decode(text: str) -> Journal:
    """Read a journal. Raises ValueError, in words, for text that is no journal of this schema."""
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode(errors="surrogateescape")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"text that stands for bytes is expected, not {error.object[error.start]!r}") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one error for all that can be wrong with it
    schema = document.pop("schema", None)
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"its schema is {reprlib.repr(schema)}, not {SCHEMA}")
    if missing := _ALWAYS.keys() - document.keys():
        raise ValueError(f"the field {min(missing)} is missing")
    journal = codec.decode(document, Journal)
    for id_, one in journal.roll.vassals.items() if journal.roll else ():
        if one.id != id_:
            raise ValueError(f"roll: vassals: {id_}: it is the entry of {one.id}")
        if "\0" in id_:
            raise ValueError("roll: vassals: an id holds a NUL, which no file's name does")
    return journal


def shifted(roll: Roll, seconds: float) -> Roll:
    """Move every time of a roll by `seconds`, so that neither time without a hook nor another boot's clock counts."""
    later: Roll = moved(roll, Roll, seconds)
    return replace(later, blind_since=None)


def moved(value: Any, hint: Any, seconds: float) -> Any:  # noqa: ANN401, PLR0911 - one return for each kind of hint
    """The value with each time in it moved whose hint is `Monotonic`, in the records inside it too."""
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin is Annotated:
        return value + seconds if Clock.MONOTONIC in arguments else value
    if origin in {Union, UnionType}:
        (inner,) = (one for one in arguments if one is not NoneType)
        return moved(value, inner, seconds)
    if origin is Mapping:
        return {name: moved(one, arguments[1], seconds) for name, one in value.items()}
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(moved(one, arguments[0], seconds) for one in value)
    if not (is_dataclass(hint) or hasattr(hint, "_fields")):
        return value
    return hint(**{name: moved(getattr(value, name), one, seconds) for name, one in codec.hints(hint).items()})
