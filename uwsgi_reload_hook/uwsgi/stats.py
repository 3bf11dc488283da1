"""Reads the decoded stats of the Emperor and the routers, and is strict about their shape."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.snapshot import Blacklisting, Node
from uwsgi_reload_hook.uwsgi.stats_text import LEFT_OUT, Document, decode

__all__ = [
    "Document",
    "EmperorStats",
    "RouterStats",
    "VassalStats",
    "decode",
    "is_emperor",
    "is_router",
    "parse_emperor",
    "parse_router",
]

SHOWN = 3
"""Unreadable entries whose beginnings are quoted in a message, at most."""
LONGEST_TEXT = 4096
"""Characters of a path (PATH_MAX)."""
LONGEST_NAME = 255
"""Characters of an id, a key or an address, at most, in uWSGI (core/emperor.c, core/subscription.c)."""


@dataclass(frozen=True, slots=True)
class VassalStats:
    """One entry of `vassals` (core/emperor.c, emperor_send_stats). Times are wall-clock seconds, 0 = never."""

    id: str
    pid: int
    last_mod: int
    last_run: int
    accepting: bool
    respawns: int
    cursed: bool
    zerg: bool
    on_demand: str
    """The socket that starts it; empty = it runs always."""
    monitor: str
    first_run: int = 0
    """When the Emperor made this entry, which stays while the vassal sleeps on demand, and ends when it dies."""


@dataclass(frozen=True, slots=True)
class EmperorStats:
    """The Emperor's stats (core/emperor.c, emperor_send_stats)."""

    pid: int
    cwd: str
    monitors: tuple[str, ...]
    vassals: tuple[VassalStats, ...]
    blacklist: Mapping[str, Blacklisting]
    version: str = ""
    """Of uWSGI."""


@dataclass(frozen=True, slots=True)
class RouterStats:
    """One router's stats (plugins/corerouter/corerouter.c, corerouter_send_stats)."""

    pid: int
    cwd: str
    sockets: tuple[str, ...]
    """The addresses of the gateway's sockets, the subscription socket among them."""
    nodes: tuple[Node, ...]
    left_out: str = ""
    """The number and the beginnings of unreadable entries; empty = all entries could be read."""


def is_emperor(document: Document) -> bool:
    """Whether a decoded answer is an Emperor's."""
    return "vassals" in document and "emperor" in document


def is_router(document: Document) -> bool:
    """Whether a decoded answer is that of a router which takes subscriptions."""
    return "subscriptions" in document and "active_sessions" in document


def parse_emperor(document: Document) -> EmperorStats:
    """Read the Emperor's answer. Raises UnavailableError if it has another shape, even in one vassal only.

    An unreadable vassal is an error, because a roll without it would end as done, and because a vassal of unknown state
    would count as down and would be taken first.
    """
    if left_out := document.get(LEFT_OUT):
        raise UnavailableError(
            f"the Emperor's stats name vassals that cannot be read: {_beginnings(left_out)}; rename their configs, or "
            "let the hook's user list the Emperor's directory"
        )
    try:
        return EmperorStats(
            pid=_pid(document["pid"]),
            cwd=_text(document["cwd"]),
            monitors=_texts(document["emperor"]),
            vassals=tuple(_vassal(entry) for entry in document["vassals"]),
            blacklist={
                _name(entry["id"]): Blacklisting(_second(entry["first_attempt"]), _whole(entry["attempt"]))
                for entry in document["blacklist"]
            },
            version=_text(document.get("version", "")),
        )
    except _MISSHAPEN as error:
        raise UnavailableError(f"the Emperor's stats are of an unknown shape: {_shown(error)}") from error


def _vassal(entry: Document) -> VassalStats:
    return VassalStats(
        id=_name(entry["id"]),
        pid=_pid(entry["pid"]),
        last_mod=_second(entry["last_mod"]),
        last_run=_second(entry["last_run"]),
        accepting=_whole(entry["accepting"]) > 0,
        respawns=_whole(entry["respawns"]),
        cursed=_whole(entry["cursed"]) > 0,
        zerg=_whole(entry["zerg"]) > 0,
        on_demand=_text(entry["on_demand"]),
        monitor=_text(entry["monitor"]),
        first_run=_second(entry.get("first_run", 0)),
    )


def parse_router(document: Document, name: str) -> RouterStats:
    """Read a router's answer; `name` becomes the router of its nodes.

    A pool or a node that cannot be read is left out, because a subscriber can make it so. Raises UnavailableError if no
    part of the answer has the known shape.
    """
    try:
        kind = next(key for key, value in document.items() if isinstance(value, list) and key not in _OTHER_LISTS)
        nodes, misshapen = _nodes(document["subscriptions"], name)
        left_out = (*document.get(LEFT_OUT, ()), *misshapen)
        if misshapen and not nodes:
            raise UnavailableError(f"the router's stats at {name} are of an unknown shape: {misshapen[0]}")
        return RouterStats(
            pid=_pid(document["pid"]),
            cwd=_text(document["cwd"]),
            sockets=_texts(document[kind]),
            nodes=tuple(nodes),
            left_out=f"{len(left_out)} entries, such as {_beginnings(left_out)}" if left_out else "",
        )
    except StopIteration:
        raise UnavailableError(f"the stats at {name} list no gateway sockets") from None
    except _MISSHAPEN as error:
        raise UnavailableError(f"the router's stats at {name} are of an unknown shape: {_shown(error)}") from error


_OTHER_LISTS = frozenset({"subscriptions", "static_nodes"})
_MISSHAPEN = (KeyError, TypeError, ValueError)


def _nodes(pools: object, router: str) -> tuple[list[Node], list[str]]:
    """The nodes of all pools, and what is wrong with each unreadable entry."""
    nodes: list[Node] = []
    misshapen: list[str] = []
    for pool in _list(pools):
        try:
            key, entries = _name(pool["key"]), _list(pool["nodes"])
        except _MISSHAPEN as error:
            misshapen.append(_shown(error))
            continue
        for entry in entries:
            try:
                nodes.append(_node(entry, key, router))
            except _MISSHAPEN as error:
                misshapen.append(_shown(error))
    return nodes, misshapen


def _node(entry: Document, key: str, name: str) -> Node:
    return Node(
        router=name,
        key=key,
        address=_name(entry["name"]),
        modifier1=_whole(entry["modifier1"]),
        modifier2=_whole(entry["modifier2"]),
        cores=_whole(entry["cores"]),
        load=_whole(entry["load"]),
        weight=_whole(entry["weight"]),
        ref=_whole(entry["ref"]),
        last_check=_second(entry["last_check"]),
        death_mark=_whole(entry["death_mark"]) > 0,
    )


def _whole(value: object) -> int:
    """A whole number of 64 bits, as uWSGI prints it."""
    if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"a whole number of 64 bits is expected, not {reprlib.repr(value)}")
    return value


def _second(value: object) -> int:
    """A time. uWSGI prints it without a sign, so that one before 1970 is near the end of 64 bits."""
    number = _whole(value)
    return number - (1 << 64) if number >= 1 << 63 else number


def _pid(value: object) -> int:
    number = _whole(value)
    if not -1 <= number < 1 << 31:
        raise ValueError(f"a pid is expected, not {number}")
    return number


def _text(value: object, longest: int = LONGEST_TEXT) -> str:
    if type(value) is not str or "\0" in value or len(value) > longest:
        raise ValueError(f"text of up to {longest} characters is expected, not {reprlib.repr(value)}")
    return value


def _name(value: object) -> str:
    return _text(value, LONGEST_NAME)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {reprlib.repr(value)}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _shown(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)


def _beginnings(entries: Sequence[str]) -> str:
    return ", ".join(reprlib.repr(entry.strip()) for entry in entries[:SHOWN])
