"""What the demo shows of a roll: the hook's status file and the router's stats, read from outside the hook."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.records import status_reader
from uwsgi_reload_hook.records.status import StatusDocument
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["Table", "View", "look"]

WIDTH = len("restarting")


@dataclass(frozen=True, slots=True)
class View:
    """One look at a roll."""

    state: str | None
    """The hook's state; None before it has written its status."""
    phases: dict[str, str]
    """Each vassal's phase, by the vassal's id; empty while no roll was seen."""
    result: str | None
    """How the roll ended, None while it has not."""
    reason: str
    serving: int
    """Nodes that the router sends requests to."""


def look(status: Path, router_stats: Path) -> View:
    """Read the status file and the router's stats once."""
    document = read_status(status)
    roll = None if document is None else document["roll"]
    return View(
        state=None if document is None else document["state"],
        phases={} if roll is None else {vassal: row["phase"] for vassal, row in roll["vassals"].items()},
        result=None if roll is None else roll["result"],
        reason="" if roll is None else roll["reason"],
        serving=count_serving(router_stats),
    )


def read_status(path: Path) -> StatusDocument | None:
    """The document in the status file; None where there is none."""
    try:
        return status_reader.read(path)
    except (OSError, status_reader.StatusError):
        return None


def count_serving(router_stats: Path) -> int:
    """How many nodes without a death mark the FastRouter lists; 0 where it does not answer (yet)."""
    address = str(router_stats)
    try:
        nodes = stats.parse_router(StatsSocket(address).read(), address).nodes
    except UnavailableError:
        return 0
    return sum(not node.death_mark for node in nodes)


class Table:
    """The roll as lines of text: a header, then one line for each change."""

    def __init__(self, vassals: Sequence[str]) -> None:
        """`vassals` are the names without `.ini`, in the order of the columns."""
        self._vassals = vassals
        self._width = max(WIDTH, *(len(name) for name in vassals))
        self._started = time.monotonic()
        self._last: object = None

    def header(self) -> str:
        """The names of the columns."""
        return self._row("seconds", self._vassals, "serving")

    def change(self, view: View) -> str | None:
        """A line if the view differs from the last one, else None."""
        cells = [view.phases.get(f"{name}.ini", "-") for name in self._vassals]
        serving = f"{view.serving} of {len(self._vassals)}"
        if (cells, serving) == self._last:
            return None
        self._last = (cells, serving)
        return self._row(f"{time.monotonic() - self._started:7.2f}", cells, serving)

    def _row(self, first: str, cells: Sequence[str], last: str) -> str:
        return "  ".join([first, *(cell.ljust(self._width) for cell in cells), last])
