"""The clocks of routers: a node's `last_check` is in the seconds of its router, which may be on another host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uwsgi_reload_hook.snapshot import Node

__all__ = ["RouterClock"]


@dataclass(slots=True)
class RouterClock:
    """The clock of a router on another host, as its stats show it.

    Its newest `last_check` is a time that this clock has passed already. From then on it runs as every clock does. So
    what is taken for its time is never later than its true time, and no node seems older than it is.
    """

    _newest: float = float("-inf")
    _seen: float = 0.0
    """When that was seen, in monotonic seconds."""

    def now(self, nodes: Iterable[Node], monotonic: float) -> float:
        """The earliest time that it may be there, by the `nodes` that the router lists at this moment."""
        newest = max((node.last_check for node in nodes), default=float("-inf"))
        if newest > self._newest + (monotonic - self._seen):
            self._newest, self._seen = newest, monotonic
        return self._newest + (monotonic - self._seen)
