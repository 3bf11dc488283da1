"""What must outlive the hook, as text: the journal, made of a roll and made a roll again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from uwsgi_reload_hook.model import Blacklisting, Node
from uwsgi_reload_hook.roll import Phase, Progress, Request, Result, Roll

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
    saved: float = 0.0
    """The monotonic moment of writing."""
    usual_load: float | None = None
    """Seconds that the quickest load of the last roll took; None = not known."""


_FRESH = Progress("")


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
    """Read a journal. Raises ValueError, LookupError, TypeError or AttributeError where it is none of this schema."""
    document = json.loads(text)
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
    handled, roll, usual = document["handled"], document["roll"], document.get("usual_load")
    return Journal(
        handled=(int(handled[0]), int(handled[1])) if handled else None,
        keys={str(id_): frozenset(map(str, keys)) for id_, keys in (document["keys"] or {}).items()},
        roll=None if roll is None else _roll(roll),
        saved=float(document["saved"]),
        usual_load=None if usual is None else float(usual),
    )


def _roll(document: Mapping[str, Any]) -> Roll:
    return Roll(
        **{
            **document,
            "request": Request(**document["request"]),
            "vassals": {id_: _progress(one) for id_, one in document["vassals"].items()},
            "aside_keys": {id_: frozenset(keys) for id_, keys in document["aside_keys"].items()},
            "key_routers": {key: frozenset(routers) for key, routers in document["key_routers"].items()},
            "stop": _result(document["stop"]),
            "result": _result(document["result"]),
        }
    )


def _result(word: str | None) -> Result | None:
    return None if word is None else Result(word)


def _progress(document: Mapping[str, Any]) -> Progress:
    return Progress(**{name: _value(name, value) for name, value in document.items()})


def _value(name: str, plain: Any) -> Any:  # noqa: ANN401 - of any field
    return _READ[name](plain) if name in _READ and plain is not None else plain


def _nodes(documents: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    return tuple(Node(**one) for one in documents)


def _children(pairs: Sequence[tuple[int, float]]) -> frozenset[tuple[int, int]] | None:
    """Earlier versions had Unix seconds, as floats, in place of the ticks: those children cannot be told any more."""
    if any(isinstance(start, float) for _, start in pairs):
        return None
    return frozenset((int(pid), int(start)) for pid, start in pairs)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "phase": Phase,
    "keys": frozenset,
    "nodes": _nodes,
    "drained": _nodes,
    "children": _children,
    "blacklisted": lambda entry: Blacklisting(**entry),
}
"""What makes a field of a Progress of its plain form, where that is another one."""


_MOMENTS = ("since", "started", "finished", "acted", "healthy_since", "announced", "probed", "unseen_since")


def shifted(roll: Roll, seconds: float) -> Roll:
    """Move every moment of a roll: the time in which no hook ran does not count, nor does another boot's clock."""
    vassals = {
        id_: one._replace(**{name: old + seconds for name in _MOMENTS if (old := getattr(one, name)) is not None})
        for id_, one in roll.vassals.items()
    }
    forgot = {router: moment + seconds for router, moment in roll.forgot.items()}
    canary_done = None if roll.canary_done is None else roll.canary_done + seconds
    started, moved = roll.started + seconds, roll.moved + seconds
    return replace(
        roll, vassals=vassals, started=started, moved=moved, forgot=forgot, canary_done=canary_done, blind_since=None
    )
