"""Reads the text of the Emperor's and the routers' stats: tolerant of uWSGI's invalid JSON, strict about its shape."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.model import Blacklisting, Node

__all__ = ["EmperorStats", "RouterStats", "VassalStats", "decode", "emperor", "is_emperor", "is_router", "router"]

Document = Mapping[str, Any]

_STRING_LINE = re.compile(r'^(?P<head>\s*(?:"\w+":)?)"(?P<text>.*)"(?P<comma>,?)\s*$')
_STRING_OR_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


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
    monitor: str


@dataclass(frozen=True, slots=True)
class EmperorStats:
    """What the Emperor tells."""

    pid: int
    cwd: str
    monitors: tuple[str, ...]
    vassals: tuple[VassalStats, ...]
    blacklist: Mapping[str, Blacklisting]


@dataclass(frozen=True, slots=True)
class RouterStats:
    """What one router tells (plugins/corerouter/corerouter.c, corerouter_send_stats)."""

    pid: int
    cwd: str
    sockets: tuple[str, ...]
    """The gateway's own addresses; the subscription socket is among them."""
    nodes: tuple[Node, ...]


def decode(text: str) -> Document:
    """Decode one stats answer.

    uWSGI leaves a comma after the last of a gateway's sockets when another gateway's follow, and escapes nothing in
    its strings, so that a backslash means itself (core/stats.c); with `stats-http` headers come first. A quote within a
    string can be told only without `stats-minified`. Raises UnavailableError if it is no JSON object even so.
    """
    body = text.partition("\r\n\r\n")[2] if text.startswith("HTTP/") else text
    body = body.replace("\\", "\\\\")
    try:
        document = _first_that_loads(body, body.replace(_UWSGI_TRAILING_COMMA, '"\n\n\t]'))
        if document is None:
            document = json.loads(_repaired(body), strict=False)
    except (ValueError, RecursionError) as error:
        raise UnavailableError(f"a stats answer is not JSON ({error}); it is {len(text)} characters long") from error
    if not isinstance(document, dict):
        raise UnavailableError("a stats answer is not a JSON object")
    return document


_UWSGI_TRAILING_COMMA = '",\n\n\t]'
"""As uWSGI prints it, in every answer of a router beside another gateway: worth less than the whole repair."""


def _first_that_loads(*bodies: str) -> object:
    for body in bodies:
        with contextlib.suppress(ValueError):
            return json.loads(body, strict=False)
    return None


def _repaired(body: str) -> str:
    lines = (_STRING_LINE.sub(_with_quotes_escaped, line) for line in body.split("\n"))
    return _STRING_OR_TRAILING_COMMA.sub(r"\1", "\n".join(lines))


def _with_quotes_escaped(line: re.Match[str]) -> str:
    text = line["text"].replace('"', r"\"")
    return f'{line["head"]}"{text}"{line["comma"]}'


def is_emperor(document: Document) -> bool:
    """Whether a decoded answer is an Emperor's."""
    return "vassals" in document and "emperor" in document


def is_router(document: Document) -> bool:
    """Whether a decoded answer is that of a router which takes subscriptions."""
    return "subscriptions" in document and "active_sessions" in document


def emperor(document: Document) -> EmperorStats:
    """Read the Emperor's answer. Raises UnavailableError where it is of another shape."""
    try:
        return EmperorStats(
            pid=int(document["pid"]),
            cwd=str(document["cwd"]),
            monitors=_texts(document["emperor"]),
            vassals=tuple(_vassal(entry) for entry in document["vassals"]),
            blacklist={
                str(entry["id"]): Blacklisting(int(entry["first_attempt"]), int(entry["attempt"]))
                for entry in document["blacklist"]
            },
        )
    except _MISSHAPEN as error:
        raise UnavailableError(f"the Emperor's stats are of an unknown shape: {error!r}") from error


def _vassal(entry: Document) -> VassalStats:
    return VassalStats(
        id=str(entry["id"]),
        pid=int(entry["pid"]),
        last_mod=int(entry["last_mod"]),
        last_run=int(entry["last_run"]),
        accepting=bool(entry["accepting"]),
        respawns=int(entry["respawns"]),
        cursed=int(entry["cursed"]) > 0,
        zerg=bool(entry["zerg"]),
        on_demand=str(entry["on_demand"]),
        monitor=str(entry["monitor"]),
    )


def router(document: Document, name: str) -> RouterStats:
    """Read a router's answer; `name` goes into its nodes. Raises UnavailableError where it is of another shape."""
    try:
        kind = next(key for key, value in document.items() if isinstance(value, list) and key not in _OTHER_LISTS)
        return RouterStats(
            pid=int(document["pid"]),
            cwd=str(document["cwd"]),
            sockets=_texts(document[kind]),
            nodes=tuple(
                _node(entry, str(pool["key"]), name) for pool in document["subscriptions"] for entry in pool["nodes"]
            ),
        )
    except StopIteration:
        raise UnavailableError(f"the stats at {name} list no gateway sockets") from None
    except _MISSHAPEN as error:
        raise UnavailableError(f"the router's stats at {name} are of an unknown shape: {error!r}") from error


_OTHER_LISTS = frozenset({"subscriptions", "static_nodes"})
_MISSHAPEN = (KeyError, TypeError, ValueError, OverflowError)  # the last for int() of an infinity


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise TypeError(f"a list is expected, not {given!r}")
    return tuple(str(item) for item in given)


def _node(entry: Document, key: str, name: str) -> Node:
    return Node(
        router=name,
        key=key,
        address=str(entry["name"]),
        modifier1=int(entry["modifier1"]),
        modifier2=int(entry["modifier2"]),
        cores=int(entry["cores"]),
        load=int(entry["load"]),
        weight=int(entry["weight"]),
        ref=int(entry["ref"]),
        last_check=int(entry["last_check"]),
        death_mark=bool(entry["death_mark"]),
    )
