"""What must outlive the hook, as plain data: the journal, made of a roll and made a roll again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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


def encode(journal: Journal) -> dict[str, Any]:
    """Make the journal a JSON document."""
    return {"schema": SCHEMA, **_plain(asdict(journal))}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a dataclass holds
    if isinstance(value, Progress):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, frozenset | tuple | list):
        return [_plain(one) for one in (sorted(value) if isinstance(value, frozenset) else value)]
    return value.value if isinstance(value, Enum) else value


def decode(document: Mapping[str, Any]) -> Journal:
    """Read a journal. Raises ValueError, LookupError, TypeError or AttributeError where it is none of this schema."""
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
    handled, roll = document["handled"], document["roll"]
    return Journal(
        handled=(int(handled[0]), int(handled[1])) if handled else None,
        keys={str(id_): frozenset(map(str, keys)) for id_, keys in (document["keys"] or {}).items()},
        roll=None if roll is None else _roll(roll),
        saved=float(document["saved"]),
    )


def _roll(document: Mapping[str, Any]) -> Roll:
    return Roll(
        **{
            **document,
            "request": Request(**document["request"]),
            "vassals": {id_: _progress(one) for id_, one in document["vassals"].items()},
            "stop": _result(document["stop"]),
            "result": _result(document["result"]),
        }
    )


def _result(word: str | None) -> Result | None:
    return None if word is None else Result(word)


def _progress(document: Mapping[str, Any]) -> Progress:
    children, entry = document["children"], document["blacklisted"]
    return Progress(
        **{
            **document,
            "phase": Phase(document["phase"]),
            "keys": frozenset(document["keys"]),
            "nodes": tuple(Node(**node) for node in document["nodes"]),
            "drained": tuple(Node(**node) for node in document["drained"]),
            "children": None if children is None else frozenset((int(pid), float(start)) for pid, start in children),
            "blacklisted": None if entry is None else Blacklisting(**entry),
        }
    )


_MOMENTS = ("since", "started", "finished", "acted", "healthy_since", "announced", "probed")


def shifted(roll: Roll, seconds: float) -> Roll:
    """Move every moment of a roll: the time in which no hook ran does not count, nor does another boot's clock."""
    vassals = {
        id_: one._replace(**{name: old + seconds for name in _MOMENTS if (old := getattr(one, name)) is not None})
        for id_, one in roll.vassals.items()
    }
    return replace(roll, vassals=vassals, started=roll.started + seconds, moved=roll.moved + seconds, blind_since=None)
