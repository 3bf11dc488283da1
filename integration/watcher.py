"""Tells who serves, every 10 ms, from a process of its own so that no test's threads slow it down.

A vassal serves a key while the Emperor says `accepting` (which it clears in the moment it delivers a reload) and the
router lists a node of the vassal's without a death mark. The two sockets cannot be read in one instant, so the
router's answer is set against the Emperor's answers before and after it: `accepting` in either counts. A reload
lasts much longer than one sample, so the next one sees what this one gave the benefit of the doubt.
"""

from __future__ import annotations

import itertools
import json
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from integration import stats

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from integration.farm import Farm

INTERVAL = 0.01


@dataclass(frozen=True)
class Sighting:
    """For each key the changes of who serves (epoch seconds, vassals), and how closely it was watched."""

    serving: dict[str, list[tuple[float, frozenset[str]]]]
    samples: int
    longest_gap: float

    @property
    def timeline(self) -> dict[str, list[tuple[float, int]]]:
        return {key: [(when, len(who)) for when, who in changes] for key, changes in self.serving.items()}

    def minimum(self, key: str = "app.test") -> int:
        return min(count for _, count in self.timeline[key])

    def departures(self, key: str = "app.test") -> list[tuple[frozenset[str], int]]:
        """Each time that vassals stopped serving: which, and how many served then."""
        changes = [who for _, who in self.serving[key]]
        return [(before - after, len(after)) for before, after in itertools.pairwise(changes) if before - after]


class Watcher:
    """The parent's end of the watching process; `sighting` holds what it saw, after leaving."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.sighting: Sighting

    def __enter__(self) -> Self:
        directory = self._farm.directory
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, directory / "emperor.stats", directory / "router.stats"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "watching\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> Sighting:
        """Ends the watching (once) and returns what was seen."""
        if self._process.poll() is None:
            output, _ = self._process.communicate(timeout=10)
            assert self._process.returncode == 0, "the watcher failed, see its traceback"
            seen = json.loads(output)
            serving = {key: [(when, frozenset(who)) for when, who in seen["serving"][key]] for key in seen["serving"]}
            self.sighting = Sighting(serving, seen["samples"], seen["longest_gap"])
        return self.sighting


class Tally:
    """The watching itself."""

    def __init__(self, emperor: Path, router: Path) -> None:
        self._emperor, self._router = emperor, router
        self._before = self._vassals()
        self._owners: dict[str, str] = {}
        self.serving: dict[str, list[tuple[float, list[str]]]] = {}

    def sample(self) -> None:
        now = time.time()
        nodes = stats.live_nodes(stats.read(self._router))
        after = self._vassals()
        accepting = {vassal for seen in (self._before, after) for vassal, entry in seen.items() if entry["accepting"]}
        self._before = after
        for key in nodes.keys() | self.serving.keys():
            serving = sorted({self._owner(address) for address in nodes.get(key, set())} & accepting)
            changes = self.serving.setdefault(key, [])
            if not changes or changes[-1][1] != serving:
                changes.append((now, serving))

    def _vassals(self) -> dict[str, dict[str, Any]]:
        return {vassal["id"]: vassal for vassal in stats.read(self._emperor)["vassals"]}

    def _owner(self, address: str) -> str:
        """The vassal that listens on `address`: by the socket's name, or by the port that its process has."""
        if address.startswith("/"):
            return f"{Path(address).stem}.ini"
        if address not in self._owners:
            for vassal, entry in self._before.items():
                for connection in psutil.Process(entry["pid"]).net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        self._owners[f"{connection.laddr.ip}:{connection.laddr.port}"] = vassal
        return self._owners[address]


def main() -> None:
    """Watches until standard input is closed, then prints what it saw as JSON."""
    tally = Tally(Path(sys.argv[1]), Path(sys.argv[2]))
    tally.sample()
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    samples, longest_gap, last = 1, 0.0, time.monotonic()
    # Waiting for the end of the input paces the samples as well.
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        tally.sample()
        samples += 1
        longest_gap = max(longest_gap, time.monotonic() - last)
        last = time.monotonic()
    json.dump({"serving": tally.serving, "samples": samples, "longest_gap": longest_gap}, sys.stdout)


if __name__ == "__main__":
    main()
