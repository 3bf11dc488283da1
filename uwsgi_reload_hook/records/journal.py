"""What must outlive the hook, as text: the journal, made of a roll and made a roll again."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from uwsgi_reload_hook.clocks import Clock, Monotonic, Seconds
from uwsgi_reload_hook.planning.roll import Progress, Roll
from uwsgi_reload_hook.records import codec

__all__ = ["SCHEMA", "Journal", "decode", "encode", "shifted"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """What the next hook must know."""

    handled: tuple[int, int] | None = None
    """(mtime in ns, inode) of the trigger when it was last acted on; None = there was no file."""
    keys: Mapping[str, frozenset[str]] | None = None
    """The subscription keys that each vassal was seen to serve."""
    roll: Roll | None = None
    """The roll that was under way; each step is here before it is taken."""
    saved: Monotonic = 0.0
    """The monotonic moment of writing."""
    usual_load: Seconds | None = None
    """Seconds that the quickest load of the last roll took; None = not known."""


_FRESH = Progress("")
_FIRST = frozenset({"handled", "keys", "roll", "saved"})
"""What every journal of this schema has, the first ones too: later fields may be missing, as they have defaults."""


def encode(journal: Journal) -> str:
    """Make the journal JSON, as fast as it can be: it is written before every step of a thousand vassals."""
    return json.dumps({"schema": SCHEMA, **_shallow(journal)}, default=_plain)


def _plain(value: object) -> object:
    """Make plain what the JSON encoder does not know; it goes on inside by itself."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Roll):
        return {**_shallow(value), "vassals": {id_: _changed(one) for id_, one in value.vassals.items()}}
    return _shallow(value)


def _shallow(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _changed(progress: Progress) -> dict[str, Any]:
    """What differs from a vassal to which nothing has happened yet: of most vassals that is little."""
    return {
        name: value
        for name, value, fresh in zip(Progress._fields, progress, _FRESH, strict=True)
        if value != fresh or name == "id"
    }


def decode(text: str) -> Journal:
    """Read a journal. Raises ValueError, in words, where it is none of this schema."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one error for all that can be wrong with it
    schema = document.pop("schema", None)
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"its schema is {reprlib.repr(schema)}, not {SCHEMA}")
    if missing := _FIRST - document.keys():
        raise ValueError(f"the field {min(missing)} is missing")
    journal = codec.decode(document, Journal)
    for id_, one in journal.roll.vassals.items() if journal.roll else ():
        if one.id != id_:
            raise ValueError(f"roll: vassals: {id_}: it is the entry of {one.id}")
        if "\0" in id_:
            raise ValueError("roll: vassals: an id holds a NUL, which no file's name does")
    return journal


def shifted(roll: Roll, seconds: float) -> Roll:
    """Move every moment of a roll: the time in which no hook ran does not count, nor does another boot's clock."""
    moments = codec.marked(Progress, Clock.MONOTONIC)
    vassals = {id_: one._replace(**_moved(one, moments, seconds)) for id_, one in roll.vassals.items()}
    changes = {**_moved(roll, codec.marked(Roll, Clock.MONOTONIC), seconds), "blind_since": None}
    return replace(roll, vassals=vassals, **changes)


def _moved(value: object, moments: Iterable[str], seconds: float) -> dict[str, Any]:
    return {name: _later(old, seconds) for name in moments if (old := getattr(value, name)) is not None}


def _later(moment: Any, seconds: float) -> Any:  # noqa: ANN401 - a moment, or a mapping to moments
    return {name: one + seconds for name, one in moment.items()} if isinstance(moment, Mapping) else moment + seconds
