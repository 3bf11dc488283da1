"""Which vassal owns a router's node: the one whose processes listen on its address, else the one it is named after.

Where several vassals could own it, none does: the node is `ambiguous`, because a guess would drain the wrong one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import PurePath

from uwsgi_reload_hook.addresses import abstract, is_unix
from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.site.sockets import is_here, same_socket
from uwsgi_reload_hook.snapshot import Node

__all__ = ["NodeMatcher"]

log = logging.getLogger(__name__)

_NOBODY: frozenset[str] = frozenset()
WARNINGS = 100
"""Unmatched nodes that are named in the log, at most, because a subscriber can announce any number."""
RELIST = 2.0
"""Seconds between two lists of the host's sockets, because a list costs milliseconds. A new address does not wait."""


class NodeMatcher:
    """Sorts nodes by vassal, and remembers owners, because a vassal that is down still owns its node."""

    def __init__(
        self,
        listening: Callable[[str], Mapping[int, frozenset[str]]],
        parent: Callable[[int], int | None],
        clock: Callable[[], float],
        attested: Callable[[str], int | None] = lambda _: None,
        announced: Callable[[str], Collection[str]] = lambda _: (),
    ) -> None:
        """`listening` gives the addresses of each process, of the kind `unix` or `all`.

        `parent` gives a process's parent, `clock` gives seconds. `attested` gives the process that a connection to an
        address reaches, None = not known. `announced` gives the addresses that the config of a vassal has announced.
        """
        self._attested = attested
        self._announced = announced
        self._listening = listening
        self._parent = parent
        self._clock = clock
        self.ambiguous: frozenset[str] = frozenset()
        """The addresses that several vassals could own, as far as can be told."""
        self._owners: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._listed = float("-inf")
        self._sought: set[str] = set()
        """The addresses of the last look that were searched for among the host's sockets."""
        self._warned = Seen(WARNINGS + 1)

    def match(
        self, nodes: Iterable[Node], pids: Mapping[str, int], suffixes: Sequence[str] = ()
    ) -> dict[str, tuple[Node, ...]]:
        """Sort `nodes` by vassal; `pids` gives the pid of each vassal's master, 0 = it is not running.

        `suffixes` are cut off the names of configs; any other name loses what follows its last dot.
        """
        nodes = list(nodes)
        known = {address: owner for address, owner in self._owners.items() if owner in pids}
        restarted = any(pid and self._pids.get(id_) != pid for id_, pid in pids.items())
        foreign = {node.address for node in nodes if node.address not in known}
        self._sought &= {node.address for node in nodes}
        never_sought = not foreign <= self._sought
        if never_sought or ((restarted or foreign) and self._clock() - self._listed >= RELIST):
            self._relist({node.address for node in nodes}, pids, suffixes)
        owned: dict[str, list[Node]] = {}
        for node in nodes:
            if owner := self._owners.get(node.address):
                owned.setdefault(owner, []).append(node)
        return {id_: tuple(own) for id_, own in owned.items()}

    def addresses(self, owner: str) -> list[str]:
        """The addresses that are known to be a vassal's, whether a router lists them or not."""
        return [address for address, id_ in self._owners.items() if id_ == owner]

    def _relist(self, addresses: set[str], pids: Mapping[str, int], suffixes: Sequence[str]) -> None:
        self._listed = self._clock()
        self._sought |= addresses
        self._pids = dict(pids)
        kind = "unix" if all(map(is_unix, addresses)) else "all"
        by_socket = self._sockets({pid: id_ for id_, pid in pids.items() if pid}, kind)
        named = _named(pids, suffixes)
        announced = cache(self._announced)  # a subscriber may announce thousands of addresses of other hosts
        ambiguous = set()
        for address in addresses:
            owners = _holders(abstract(address), by_socket, announced)
            if not owners and address not in self._owners:
                owners = _by_file_name(address, named)
            if len(owners) == 1:
                self._owners[address] = min(owners)
            elif owners:
                ambiguous.add(address)
                self._owners.pop(address, None)
            if address not in self._owners:
                self._warn(address, owners)
        self.ambiguous = frozenset(ambiguous)

    def _warn(self, address: str, owners: Collection[str]) -> None:
        if not self._warned.is_new(address):
            return
        if owners and not self._warned.is_full:
            words = "router node %s may belong to any of %s, and is given to none: give each a socket of its own name"
            log.warning(words, address, ", ".join(sorted(owners)))
            return
        if self._warned.is_full:
            log.warning("more router nodes match no vassal of this Emperor; no further ones are named")
        else:
            log.warning("router node %s matches no vassal of this Emperor and is not counted", address)

    def _sockets(self, masters: Mapping[int, str], kind: str) -> dict[str, frozenset[str]]:
        """The vassal of each listening address, by its master or a child of that.

        A child counts, because psutil may name a worker alone where a master and its workers share a socket. Where two
        vassals have bound the same path one after the other, the one that a connection reaches owns the path.
        """
        owners: dict[str, set[str]] = {}
        for pid, addresses in self._listening(kind).items():
            owner = self._master(pid, masters)
            if owner is not None:
                for address in addresses:
                    owners.setdefault(address, set()).add(owner)
        return {address: self._attested_among(address, ids, masters) for address, ids in owners.items()}

    def _attested_among(self, address: str, ids: Collection[str], masters: Mapping[int, str]) -> frozenset[str]:
        reached = self._attested(address) if len(ids) > 1 else None
        owner = None if reached is None else self._master(reached, masters)
        return frozenset(ids) if owner is None else frozenset({owner})

    def _master(self, pid: int, masters: Mapping[int, str]) -> str | None:
        return masters.get(pid) or masters.get(self._parent(pid) or 0)


def _named(ids: Iterable[str], suffixes: Sequence[str]) -> dict[str, set[str]]:
    """The ids by the names of their configs without the suffix; app1.ini and app1.yaml have the same one."""
    named: dict[str, set[str]] = {}
    for id_ in ids:
        name = PurePath(id_).name
        fitting = [suffix for suffix in suffixes if name.endswith(suffix)]
        stem = name.removesuffix(max(fitting, key=len)) if fitting else PurePath(name).stem
        named.setdefault(stem, set()).add(id_)
    return named


def _by_file_name(address: str, named: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The vassals that a socket's file is named after: app1.sock, app1.socket and app1 belong to app1.ini."""
    name = PurePath(address).name
    while name and name not in named:
        name = name.rpartition(".")[0]
    return frozenset(named.get(name, ())) if name else _NOBODY


def _holders(
    address: str, by_socket: Mapping[str, frozenset[str]], announced: Callable[[str], Collection[str]]
) -> frozenset[str]:
    """The vassals that listen on an address; a wildcard socket counts where the host is this one.

    Behind a NAT the host is another one's. Then the vassal counts whose config has that address announced.
    """
    if address in by_socket or is_unix(address):
        return by_socket.get(address, _NOBODY)
    holders = _NOBODY.union(*(ids for held, ids in by_socket.items() if same_socket(address, held)))
    if not holders or is_here(address):
        return holders
    return frozenset(id_ for id_ in holders if address in announced(id_))
