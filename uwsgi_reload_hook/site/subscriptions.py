"""Which subscription keys are a vassal's own: whoever may write to a router's socket may announce it under others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.paths import walk
from uwsgi_reload_hook.site.vassal_config import read_text
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi.ini import Options
from uwsgi_reload_hook.uwsgi.known_options import known_options
from uwsgi_reload_hook.uwsgi.stats import VassalStats

__all__ = ["ForeignKeys", "configured_keys", "own_keys"]

log = logging.getLogger(__name__)

WARNINGS = 100
"""Keys that are warned of, at most: whoever announces one can announce any number."""
_BY_PLACE = ("subscribe-to", "st", "subscribe")
_BY_FIELDS = "subscribe2"
_WANTED = frozenset({*_BY_PLACE, _BY_FIELDS})
_HARMLESS = frozenset(
    {"subscribe-freq", "subscribe-with-modifier1", "unsubscribe-on-graceful-reload", "start-unsubscribed"}
)
_OTHERS_SPEAK = ("emperor", "attach-", "smart-attach-", "legion-attach-", "legion-smart-attach-")
"""Options of a vassal whose children may announce what its own config does not say."""
_NONE: frozenset[str] = frozenset()


def own_keys(options: Options) -> frozenset[str] | None:
    """The keys under which a vassal with these options announces itself; None where that is not certain."""
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
    """Whether a key comes back from the router's stats, which escape nothing (core/stats.c), as it was announced."""
    return key.isascii() and key.isprintable() and key[:1] != "@" and not set(key) & set("\\\"'")


def _key_by_place(value: str) -> str | None:
    """The key of `[SOCKET=]ADDRESS:KEY[,MODIFIER1[,SIGNATURE]]` (core/subscription.c, uwsgi_subscribe); None = none.

    The address is a path, or host:port. A key that begins with `@` names a file of keys.
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
    """The key of `server=ADDRESS,key=KEY,…` (core/subscription.c, uwsgi_subscribe2); None = it announces nothing."""
    fields = dict(field.split("=", 1) for field in value.split(",") if "=" in field)
    return fields.get("key") if "server" in fields else None


def configured_keys(
    entry: VassalStats, path: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> frozenset[str] | None:
    """The keys that the config of a running vassal names; None where its process may have others.

    `path` is that of its config, `arguments` and `environment` are those of its master as far as they can be seen.
    """
    directory = path.removesuffix(str(PurePath(entry.id)))
    started_plainly = arguments[1:] == ["--ini", entry.id] and "UWSGI_EMPEROR_FD" in environment
    if not started_plainly or ":" in entry.id or directory == path:
        return None
    files: list[str] = []

    def read(file: str) -> str | None:
        files.append(file)
        return read_text(file)

    options = known_options(arguments, directory or "/", environment, read, _WANTED, branches=True)
    if options is None or any(_changed_since(file, entry.last_run) for file in files):
        return None
    return own_keys(options)


def _changed_since(path: str, second: int) -> bool:
    """Whether a file, or a link on the way to it, has changed after a second of the wall clock, its mtime aside.

    A config that was edited under a running vassal tells what that will be, and not what it is.
    """
    try:
        changed = [os.stat(path).st_ctime_ns, *(step.status.st_ctime_ns for step in walk(path) if step.is_link)]  # noqa: PTH116 - beside lstat
    except OSError:
        return True
    return max(changed) // 1_000_000_000 > second


@dataclass(slots=True)
class _Known:
    """What was found out of one vassal."""

    process: tuple[int, int] = (0, 0)
    """Its pid and its last run: another process, or another run, may have other keys."""
    seen: frozenset[str] = _NONE
    """The keys under which routers have listed it since."""
    own: frozenset[str] | None = None


class ForeignKeys:
    """Tells the keys of a vassal's nodes that somebody else has announced.

    A vassal whose config names no key at all is taken to be announced by somebody who may: its keys are foreign only
    where the config of another vassal names them.
    """

    def __init__(self, configured: Callable[[VassalStats], frozenset[str] | None]) -> None:
        """`configured` gives the keys that a vassal's config names, None where that is not certain."""
        self._configured = configured
        self._known: dict[str, _Known] = {}
        self._warned = Seen(WARNINGS)

    def of(
        self, owned: Mapping[str, tuple[Node, ...]], listed: Mapping[str, VassalStats]
    ) -> Mapping[str, frozenset[str]]:
        """For each vassal that has some, its foreign keys; `owned` are the nodes of each, at all routers.

        A config is read only when its vassal has been started anew, or is seen under a key for the first time: this is
        asked at each look, of a thousand vassals.
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
