"""The vassals that the last look has shown: the pid of each, the path of its config, and the nodes that it owns."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping

from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.ownership import NodeMatcher
from uwsgi_reload_hook.site.peers import listening_pid
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.site.vassal_config import config_path
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi.stats import EmperorStats

__all__ = ["KnownVassals"]

_SUBSCRIBE = ("subscribe-to", "st", "subscribe", "subscribe2")


class KnownVassals:
    """What the observer and the actuator share: each look updates it, and the acts use it."""

    def __init__(self, emperor_pid: int, settings: Settings) -> None:
        """`emperor_pid` holds until the first look."""
        self.emperor_pid = emperor_pid
        self.pids: dict[str, int] = {}
        """The pid of each vassal's master by the vassal's id; 0 = it is not running."""
        self.paths: dict[str, str] = {}
        """The path of each vassal's config by the vassal's id."""
        self._monitors: dict[str, str] = {}
        self._settings = settings
        self._matcher = NodeMatcher(
            processes.listening, processes.parent, time.monotonic, listening_pid, self._announced
        )

    @property
    def ambiguous(self) -> frozenset[str]:
        """The addresses of nodes that several vassals could own."""
        return self._matcher.ambiguous

    def _announced(self, id_: str) -> frozenset[str]:
        """The words of a vassal's subscriptions, the addresses that it has announced among them."""
        values = of_vassal(self.pids[id_], self.paths[id_]).found(*_SUBSCRIBE)
        return frozenset(word for value in values for word in re.split("[=,]", value))

    def update(self, emperor_stats: EmperorStats, tracked: Collection[str]) -> None:
        """Keep the vassals that the Emperor lists or blacklists, and those with the ids `tracked`."""
        self.emperor_pid = emperor_stats.pid  # its master restarts it when it dies
        listed = {entry.id: entry for entry in emperor_stats.vassals}
        self.pids = {}
        for id_ in {*listed, *emperor_stats.blacklist, *tracked}:
            entry, known = listed.get(id_), self._monitors.get(id_, "")
            self.pids[id_] = entry.pid if entry else 0
            monitor = entry.monitor if entry else known
            if not monitor or monitor != known:
                self._monitors[id_] = monitor
                self.paths[id_] = config_path(
                    id_, monitor, emperor_stats.cwd, self._settings.emperor_path, emperor_stats.monitors
                )

    def owners(self, nodes: Iterable[Node]) -> Mapping[str, tuple[Node, ...]]:
        """Sort nodes by the ids of the vassals that own them."""
        return self._matcher.match(nodes, self.pids, self._settings.vassal_config_file_suffix)

    def addresses(self, id_: str) -> list[str]:
        """The addresses under which routers have listed a vassal."""
        return self._matcher.addresses(id_)
