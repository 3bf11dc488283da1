"""Watches every vassal of a rolling site through the stats sockets, from a process of its own, for the picture.

Only rolls that are not measured are watched: each read makes the Emperor scan its directory.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from integration import stats
from integration.bench.cases import KEY

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

INTERVAL = 0.02
ROOT = Path(__file__).parents[2]


class Sight(NamedTuple):
    """A vassal from `when` (epoch) on, until the next sight of it."""

    when: float
    vassal: str
    last_mod: int
    accepting: bool
    subscribed: bool


class Sampler:
    """The parent's end; `sights` and `serving` (epoch, how many) hold what was seen, after leaving."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.sights: list[Sight] = []
        self.serving: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._directory / "emperor.stats", self._directory / "router.stats"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "watching\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        output, _ = self._process.communicate(timeout=10)
        seen = json.loads(output)
        self.sights = [Sight(*row) for row in seen["sights"]]
        self.serving = [(when, count) for when, count in seen["serving"]]


class Tally:
    """The watching itself."""

    def __init__(self, emperor: Path, router: Path) -> None:
        self._emperor, self._router = emperor, router
        self._last: dict[str, tuple[int, bool, bool]] = {}
        self._accepted: set[str] = set()
        self.sights: list[Sight] = []
        self.serving: list[tuple[float, int]] = []

    def sample(self) -> None:
        when = time.time()
        nodes = stats.live_nodes(stats.read(self._router)).get(KEY, set())
        subscribed = {f"{Path(address).stem}.ini" for address in nodes}
        vassals = {vassal["id"]: vassal for vassal in stats.read(self._emperor)["vassals"]}
        for vassal, entry in sorted(vassals.items()):
            seen = (entry["last_mod"], bool(entry["accepting"]), vassal in subscribed)
            if self._last.get(vassal) != seen:
                self._last[vassal] = seen
                self.sights.append(Sight(when, vassal, *seen))
        accepting = {vassal for vassal, entry in vassals.items() if entry["accepting"]}
        # The router was read between two reads of the Emperor, so that `accepting` in either counts.
        count = len(subscribed & (accepting | self._accepted))
        self._accepted = accepting
        if not self.serving or self.serving[-1][1] != count:
            self.serving.append((when, count))


def main() -> None:
    """Watches until standard input is closed, then prints what it saw as JSON."""
    tally = Tally(Path(sys.argv[1]), Path(sys.argv[2]))
    tally.sample()
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        tally.sample()
    json.dump({"sights": tally.sights, "serving": tally.serving}, sys.stdout)


if __name__ == "__main__":
    main()
