"""Decodes the text of uWSGI's stats, which is no JSON if a name in it has a quote.

uWSGI escapes nothing (core/stats.c), and tenants choose names: a subscriber a key and an address, the owner of a config
its file name. So the text is split by its layout. First comes what the operator has written (core/emperor.c,
emperor_send_stats; plugins/corerouter/corerouter.c, corerouter_send_stats), then one or two lists of entries. A list
that is plain JSON is read as JSON, because that is the fastest. Any other list is cut where an entry begins. Within an
entry a name ends at the last place where the field follows that uWSGI writes next. An entry that still cannot be read
is left out and reported, so that a subscriber can spoil his own entry only.

The time is linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from uwsgi_reload_hook.errors import UnavailableError

__all__ = ["LEFT_OUT", "Document", "Names", "decode", "no_names"]

Document = Mapping[str, Any]
Names = Callable[[Sequence[str], str], Collection[str]]
"""Gives the ids with quotes or control characters, for what an Emperor scans and the directory it runs in."""

LEFT_OUT = "left out"
"""The key of a document's unreadable entries, a tuple of texts. uWSGI writes no such key."""

OPERATORS = 1 << 18
"""Characters of an answer's part before the lists, at most, in which quotes are repaired."""

_LIST = re.compile(r'"(vassals|subscriptions)":\[')
_END = re.compile(r'\]\s*(?:,\s*"\w+":-?\d+\s*)*\}\s*')
_MISLEADING_POOL = re.compile(
    r'"name":"[^"]*"(?!,\s*"modifier1":\d)|"key":"[^"]*"(?!,\s*"(?:hash|nodes)":[\d\[])'
    r'|":"[^"]*"(?!,\s*"(?:hash|nodes|modifier1)":[\d\[])'
)
_MISLEADING_VASSAL = re.compile(r'":"[^"]*"(?!,\s*"(?:pid|throttle_level|uid|suspended|respawns|attrs)":[-\d\[])')
"""A name that is not followed by the field which uWSGI writes next, because the name has a quote."""
_STRING_LINE = re.compile(r'^(?P<head>\s*(?:"\w+":)?)"(?P<text>.*)"(?P<comma>,?)\s*$')
_VASSAL = re.compile(r'\{\s*"(id)":"')
_NO_VASSAL = re.compile(r'\s*(?:\]\s*,\s*"blacklist":\[\s*)?')
_POOL_OR_NODE = re.compile(r'\{\s*"(key|name)":"')
_AFTER = {
    "id": re.compile(r'",\s*(?="(?:pid|throttle_level)":-?\d)'),
    "on_demand": re.compile(r'",\s*(?="(?:uid|suspended)":\d)'),
    "monitor": re.compile(r'",\s*(?="(?:respawns|attrs)":[\d\[])'),
    "key": re.compile(r'",\s*(?="(?:hash|nodes)":[\d\[])'),
    "name": re.compile(r'",\s*(?="modifier1":\d)'),
}
_NUMBER = re.compile(r'"(\w+)":(-?\d{1,20})(?=[\s,}\]])')


def no_names(_monitors: Sequence[str], _cwd: str) -> Collection[str]:
    """No ids, for a caller without a directory to list."""
    return ()


def decode(text: str, names: Names = no_names) -> Document:
    """Decode one stats answer, with HTTP headers before it or without (`stats-http`).

    `names` gives the odd ids that exist, so that they are read exactly. Raises UnavailableError if the answer is no
    JSON object, or is incomplete.
    """
    body = text.partition("\r\n\r\n")[2] if text.startswith("HTTP/") else text
    first_list = _LIST.search(body)
    if first_list is None:
        return _object(body)
    head = _object(f'{body[: first_list.start()]}"":[]}}')
    end = body.rfind("]")
    if not _END.fullmatch(body, end):
        raise UnavailableError(f"a stats answer does not end; it is {len(text)} characters long")
    lists = body[first_list.end() : end]
    entries = _pools(lists) if first_list[1] == "subscriptions" else _vassals(lists, names(*_scanned(head)))
    return {**{key: value for key, value in head.items() if key}, **entries}


def _scanned(head: Document) -> tuple[Sequence[str], str]:
    monitors, cwd = head.get("emperor"), head.get("cwd")
    texts = [one for one in monitors if isinstance(one, str)] if isinstance(monitors, list) else []
    return texts, cwd if isinstance(cwd, str) else "/"


def _object(text: str) -> Document:
    """Read an object whose texts the operator has chosen. A quote is found by the lines, because stats have one a text.

    uWSGI writes a comma after the last socket of a gateway when another gateway's sockets follow.
    """
    text = text.replace("\\", "\\\\").replace('",\n\n\t]', '"\n\n\t]').replace('",]', '"]')
    document = _json(text)
    if document is None and len(text) <= OPERATORS:
        document = _json("\n".join(_STRING_LINE.sub(_with_quotes_escaped, line) for line in text.split("\n")))
    if isinstance(document, dict):
        return document
    raise UnavailableError(f"a stats answer is not a JSON object; it is {len(text)} characters long")


def _json(text: str) -> object:
    """The JSON value; None = the text is no JSON. Control characters are allowed in texts."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _with_quotes_escaped(line: re.Match[str]) -> str:
    text = line["text"].replace('"', r"\"")
    return f'{line["head"]}"{text}"{line["comma"]}'


def _pools(text: str) -> Document:
    entries = None if _MISLEADING_POOL.search(text) else _json(f"[{_doubled(text)}]")
    return _pools_by_layout(text) if entries is None else {"subscriptions": entries}


def _pools_by_layout(text: str) -> Document:
    """Read as many pools and nodes as can be read. A pool within another one's nodes is part of an address."""
    pools: list[dict[str, Any]] = []
    left_out: list[str] = []
    nodes: list[dict[str, Any]] | None = None
    ended = True
    for kind, entry in _cut(text, _POOL_OR_NODE):
        read = _entry(entry, (kind,)) if kind else None
        if kind == "key" and ended:
            nodes = None if read is None else []
            pools.extend([] if read is None else [{**read, "nodes": nodes}])
        if kind == "name" and read is not None and nodes is not None:
            nodes.append(read)
        elif entry.strip() and not (kind == "key" and ended and read is not None):
            left_out.append(entry)
        ended = "".join(entry[-_GAP:].split()).endswith("]},") if kind else True
    return {"subscriptions": pools, LEFT_OUT: tuple(left_out)}


_GAP = 32
"""Characters in which the end of a pool is searched for: uWSGI writes ten, with line breaks and tabs."""


def _vassals(text: str, odd: Collection[str]) -> Document:
    plain = _known(_doubled(text), odd)
    vassals, separator, blacklist = plain.rpartition('"blacklist":[')
    vassals = vassals.rstrip().removesuffix(",")
    if separator and '"vassals":[' not in plain and not _MISLEADING_VASSAL.search(plain):
        entries = _json(f'{{"vassals":[{vassals},"blacklist":[{blacklist}]}}')
        if isinstance(entries, dict) and entries.keys() == {"vassals", "blacklist"}:
            return entries
    return _vassals_by_layout(text)


def _vassals_by_layout(text: str) -> Document:
    vassals: list[dict[str, Any]] = []
    blacklist: list[dict[str, Any]] = []
    left_out: list[str] = []
    for kind, entry in _cut(text, _VASSAL):
        read = _entry(entry, ("id", "on_demand", "monitor")) if kind else None
        if read is not None:
            (vassals if "pid" in read else blacklist).append(read)
        elif not _NO_VASSAL.fullmatch(entry):
            left_out.append(entry)
    return {"vassals": vassals, "blacklist": blacklist, LEFT_OUT: tuple(left_out)}


def _doubled(text: str) -> str:
    """Escape backslashes, because uWSGI does not."""
    return text.replace("\\", "\\\\")


def _known(text: str, odd: Collection[str]) -> str:
    """Escape the ids that are known to exist, the longest first, because one id may be the beginning of another."""
    if not odd:
        return text
    literal = "|".join(re.escape(_doubled(name)) for name in sorted(odd, key=len, reverse=True))
    escaped = {_doubled(name): json.dumps(name)[1:-1].replace('\\"', "\\u0022") for name in odd}
    return re.sub(f'"id":"({literal})"(?=,)', lambda match: f'"id":"{escaped[match[1]]}"', text)


def _cut(text: str, start: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Each entry as the name of its first field, and the text up to the next entry.

    The text before the first entry comes with an empty name.
    """
    kind, begin = "", 0
    for match in start.finditer(text):
        yield kind, text[begin : match.start()]
        kind, begin = match[1], match.start() + 1
    yield kind, text[begin:]


def _entry(entry: str, texts: Sequence[str]) -> dict[str, Any] | None:
    """Read the fields of one entry, of which `texts` are strings, in this order; None = the first has no end."""
    fields: dict[str, Any] = {}
    place = 0
    for field in texts:
        begin = entry.find(f'"{field}":"', place)
        after = _AFTER[field].finditer(entry, begin) if begin >= 0 else ()
        last = next(iter(deque(after, maxlen=1)), None)
        if last is None:
            break
        fields.update(_numbers(entry[place:begin]))
        fields[field] = entry[begin + len(field) + 4 : last.start()]
        place = last.end()
    if not fields:
        return None
    return {**fields, **_numbers(entry[place:])}


def _numbers(text: str) -> dict[str, int]:
    return {name: int(digits) for name, digits in _NUMBER.findall(text)}
