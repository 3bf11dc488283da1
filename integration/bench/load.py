"""Steady requests from a process of their own, so that what else the bench does delays none of them."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from integration.bench.cases import KEY
from integration.client import PAUSE, fetch

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

THREADS = 4
ROOT = Path(__file__).parents[2]


class Request(NamedTuple):
    """One request: when it was sent (epoch), how long its answer took, and the status; 0 = no answer at all."""

    start: float
    seconds: float
    status: int


class Load:
    """The parent's end; `requests` holds all of them, after leaving."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.requests: list[Request] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "sending\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the requests under way finish."""
        output, _ = self._process.communicate(timeout=60)
        self.requests = [Request(*row) for row in json.loads(output)]

    def between(self, start: float, end: float) -> list[Request]:
        """Those that were under way at some moment from `start` to `end`."""
        return [one for one in self.requests if one.start <= end and one.start + one.seconds >= start]


def main() -> None:
    """Sends until standard input is closed, then prints every request as JSON."""
    port = int(sys.argv[1])
    rows: list[Request] = []
    stop = threading.Event()
    # A collection of ten thousand rows would show as a slow answer.
    gc.disable()

    def send() -> None:
        while not stop.wait(PAUSE):
            answer = fetch(port, KEY)
            rows.append(Request(answer.start, answer.seconds, answer.status))

    threads = [threading.Thread(target=send) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdout.write("sending\n")
    sys.stdout.flush()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
