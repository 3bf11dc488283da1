"""Which vassal owns a router's node: the one whose processes listen on its address, else the one it is named after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

from uwsgi_reload_hook.logs import Seen
from uwsgi_reload_hook.site.sockets import same_socket
from uwsgi_reload_hook.snapshot import Node

__all__ = ["NodeMatcher"]

log = logging.getLogger(__name__)

_PATHS = ("/", "@")
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
    ) -> None:
        """`listening` gives the addresses of each process, of the kind `unix` or `all`.

        `parent` gives a process's parent, `clock` gives seconds. `attested` gives the process that a connection to an
        address reaches, None = not known.
        """
        self._attested = attested
        self._listening = listening
        self._parent = parent
        self._clock = clock
        self._owners: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._listed = float("-inf")
        self._sought: set[str] = set()
        """The addresses of the last look that were searched for among the host's sockets."""
        self._warned = Seen(WARNINGS + 1)

    def match(self, nodes: Iterable[Node], pids: Mapping[str, int], suffix: str) -> dict[str, tuple[Node, ...]]:
        """Sort `nodes` by vassal; `pids` gives the pid of each vassal's master, 0 = it is not running."""
        nodes = list(nodes)
        known = {address: owner for address, owner in self._owners.items() if owner in pids}
        restarted = any(pid and self._pids.get(id_) != pid for id_, pid in pids.items())
        foreign = {node.address for node in nodes if node.address not in known}
        self._sought &= {node.address for node in nodes}
        never_sought = not foreign <= self._sought
        if never_sought or ((restarted or foreign) and self._clock() - self._listed >= RELIST):
            self._relist({node.address for node in nodes}, pids, suffix)
        owned: dict[str, list[Node]] = {}
        for node in nodes:
            if owner := self._owners.get(node.address):
                owned.setdefault(owner, []).append(node)
        return {id_: tuple(own) for id_, own in owned.items()}

    def addresses(self, owner: str) -> list[str]:
        """The addresses that are known to be a vassal's, whether a router lists them or not."""
        return [address for address, id_ in self._owners.items() if id_ == owner]

    def _relist(self, addresses: set[str], pids: Mapping[str, int], suffix: str) -> None:
        self._listed = self._clock()
        self._sought |= addresses
        self._pids = dict(pids)
        kind = "unix" if all(address.startswith(_PATHS) for address in addresses) else "all"
        by_socket = self._sockets({pid: id_ for id_, pid in pids.items() if pid}, kind)
        stems = {PurePath(id_).name.removesuffix(suffix): id_ for id_ in pids}
        for address in addresses:
            owner = by_socket.get(address)
            if owner is None and not address.startswith(_PATHS):
                owner = next((id_ for held, id_ in by_socket.items() if same_socket(address, held)), None)
            if owner is None and address not in self._owners:
                owner = _by_file_name(address, stems)
            if owner is not None:
                self._owners[address] = owner
            elif address not in self._owners:
                self._warn(address)

    def _warn(self, address: str) -> None:
        if not self._warned.is_new(address):
            return
        if self._warned.is_full:
            log.warning("more router nodes match no vassal of this Emperor; no further ones are named")
        else:
            log.warning("router node %s matches no vassal of this Emperor and is not counted", address)

    def _sockets(self, masters: Mapping[int, str], kind: str) -> dict[str, str]:
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
        sole_owners = {address: min(names) for address, names in owners.items() if len(names) == 1}
        for address in owners.keys() - sole_owners:
            reached = self._attested(address)
            owner = None if reached is None else self._master(reached, masters)
            if owner is not None:
                sole_owners[address] = owner
        return sole_owners

    def _master(self, pid: int, masters: Mapping[int, str]) -> str | None:
        return masters.get(pid) or masters.get(self._parent(pid) or 0)


def _by_file_name(address: str, stems: Mapping[str, str]) -> str | None:
    """The vassal that a socket's file is named after: app1.sock, app1.socket and app1 belong to app1.ini."""
    name = PurePath(address).name
    while name and name not in stems:
        name = name.rpartition(".")[0]
    return stems.get(name) if name else None
