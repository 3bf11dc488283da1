"""Tells a vassal's own subscription keys from foreign ones.

A process that may write to a router's socket can announce any vassal's address under any key.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.paths import walk
from uwsgi_reload_hook.site.process_options import vassal_start
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.stats import VassalStats

__all__ = ["ForeignKeys", "changed_since", "configured_keys", "own_keys"]

log = logging.getLogger(__name__)

WARNINGS = 100
"""Foreign keys that are named in the log, at most, because a subscriber can announce any number."""
_BY_PLACE = ("subscribe-to", "st", "subscribe")
_BY_FIELDS = "subscribe2"
_WANTED = frozenset({*_BY_PLACE, _BY_FIELDS})
_HARMLESS = frozenset(
    {"subscribe-freq", "subscribe-with-modifier1", "unsubscribe-on-graceful-reload", "start-unsubscribed"}
)
_OTHERS_SPEAK = ("emperor", "attach-", "smart-attach-", "legion-attach-", "legion-smart-attach-")
"""Options of a vassal whose children may announce keys that its own config does not name."""
_NONE: frozenset[str] = frozenset()


def own_keys(options: Mapping[str, Sequence[str]]) -> frozenset[str] | None:
    """The keys under which a vassal with these options announces itself; None = not certain."""
    for name in options:
        speaks = "subscribe" in name and name not in _WANTED and name not in _HARMLESS
        if speaks or name.startswith(_OTHERS_SPEAK):
            return None
    fields = options.get(_BY_FIELDS, [])
    if any("\\" in value for value in fields):  # an escape
        return None
    keys = [_key_by_place(value) for name in _BY_PLACE for value in options.get(name, ())]
    own = frozenset(key for key in (*keys, *map(_key_by_name, fields)) if key is not None)
    return own if all(map(_is_plain, own)) else None


def _is_plain(key: str) -> bool:
    """Whether the router's stats, which escape nothing (core/stats.c), have a key as it was announced."""
    return key.isascii() and key.isprintable() and key[:1] != "@" and not set(key) & set("\\\"'")


def _key_by_place(value: str) -> str | None:
    """The key of `[SOCKET=]ADDRESS:KEY[,MODIFIER1[,SIGNATURE]]` (core/subscription.c, uwsgi_subscribe).

    The address is a path, or host:port. A key that begins with `@` names a file of keys. None = there is no key.
    """
    numbered = value.startswith("=")  # SOCKET is `=NUMBER`
    _, equals, address = value[numbered:].partition("=")
    if not equals:
        address = "" if numbered else value
    if not address.startswith("/"):
        _, _, address = address.partition(":")
    _, colon, key = address[address.startswith("/") :].partition(":")
    return key.partition(",")[0] if colon else None


def _key_by_name(value: str) -> str | None:
    """The key of `server=ADDRESS,key=KEY,…` (core/subscription.c, uwsgi_subscribe2); None = nothing is announced."""
    fields = dict(field.split("=", 1) for field in value.split(",") if "=" in field)
    return fields.get("key") if "server" in fields else None


def configured_keys(
    entry: VassalStats, path: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> frozenset[str] | None:
    """The keys that the config of a running vassal names; None = its process may have other ones.

    `path` is that of its config; `arguments` and `environment` are those of its master, empty if they cannot be read.
    """
    start = vassal_start(entry.pid, path, arguments, environment)
    if start is None or "UWSGI_EMPEROR_FD" not in environment:
        return None
    files: list[str] = []

    def read(file: str) -> bytes | None:
        files.append(file)
        return read_bytes(file)

    options = read_options(replace(start, read=read))
    whole = options.possible(*_WANTED) is not None and not options.unsure
    if not whole or any(changed_since(file, entry.last_run) for file in files):
        return None
    return own_keys({name: options.possible(name) or [] for name in options.names()})


def changed_since(path: str, second: int) -> bool:
    """Whether a file, or a symlink on the way to it, was changed after a second of the wall clock.

    Its ctime counts, because an mtime can be set. A config that was edited since the vassal's start describes the next
    start.
    """
    try:
        changed = [os.stat(path).st_ctime_ns, *(step.status.st_ctime_ns for step in walk(path) if step.is_link)]  # noqa: PTH116 - beside lstat
    except OSError:
        return True
    return max(changed) // 1_000_000_000 > second


@dataclass(slots=True)
class _Known:
    """The keys of one vassal."""

    process: tuple[int, int] = (0, 0)
    """The vassal's pid and last run, because another process or another run may have other keys."""
    seen: frozenset[str] = _NONE
    """The keys under which routers have listed the vassal since then."""
    own: frozenset[str] | None = None
    """The keys that the vassal's config names; None = not certain."""


class ForeignKeys:
    """Finds the keys of a vassal's nodes that another process has announced.

    Where a vassal's config names no key at all, another process is assumed to announce it rightly. Then its keys are
    foreign only if the config of another vassal names them.
    """

    def __init__(self, configured: Callable[[VassalStats], frozenset[str] | None]) -> None:
        """`configured` gives the keys that a vassal's config names, None = not certain."""
        self._configured = configured
        self._known: dict[str, _Known] = {}
        self._warned = Seen(WARNINGS)

    def of(
        self, owned: Mapping[str, tuple[Node, ...]], listed: Mapping[str, VassalStats]
    ) -> Mapping[str, frozenset[str]]:
        """The foreign keys of each vassal that has some; `owned` gives the nodes of each vassal, at all routers.

        A config is read only after its vassal's restart, or when its vassal is listed under a key for the first time,
        because each look asks this for all vassals.
        """
        keys = {id_: frozenset([node.key for node in nodes]) for id_, nodes in owned.items()}
        self._known = {id_: self._look(id_, keys[id_], listed.get(id_)) for id_ in owned}
        named = {id_: known.own for id_, known in self._known.items() if known.own is not None}
        unnamed = {id_: keys[id_] - own for id_, own in named.items() if not keys[id_] <= own}
        foreign_keys = {id_: foreign for id_, keys in unnamed.items() if (foreign := self._foreign(id_, keys))}
        for id_, foreign in foreign_keys.items():
            self._warn(id_, foreign, owned[id_])
        return foreign_keys

    def _look(self, id_: str, keys: frozenset[str], entry: VassalStats | None) -> _Known:
        known = self._known.get(id_) or _Known()
        if entry is None or entry.pid <= 0:
            return known
        process = entry.pid, entry.last_run
        if process == known.process and keys <= known.seen:
            return known
        seen = keys | known.seen if process == known.process else keys
        return _Known(process, seen, self._configured(entry))

    def _foreign(self, id_: str, unnamed: frozenset[str]) -> frozenset[str]:
        if self._known[id_].own:
            return unnamed
        others = [known.own for other, known in self._known.items() if other != id_ and known.own]
        return unnamed & frozenset().union(*others)

    def _warn(self, id_: str, keys: frozenset[str], nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            if node.key in keys and self._warned.is_new((id_, node.key)):
                log.warning(
                    "router %s lists %s under key %r, which its config does not name: it counts for no minimum",
                    node.router,
                    id_,
                    node.key,
                )
