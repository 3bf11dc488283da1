"""Routers in uWSGI instances of their own, on this host or, in a network namespace, on another one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integration import stats
from integration.farm import UWSGI
from integration.layout import ini
from integration.processes import free_port
from integration.services import cannot_run, needed
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

HERE, THERE = "10.213.77.1", "10.213.77.2"
"""The addresses of this host and of the other one, in a network that only the two have."""


EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a namespace of its own


class Router:
    """A FastRouter with an HTTP front. Its directory goes with it."""

    def __init__(  # noqa: PLR0913 - each argument is one address, or one fact of its process
        self,
        lines: Sequence[str] = (),
        *,
        subscription_server: str = "",
        stats_server: str = "",
        router: str = "",
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="urh-", dir="/tmp"))
        self.http_port = free_port()
        self.subscription_server = subscription_server or f"{self.directory}/subscription.sock"
        self.stats_server = stats_server or f"{self.directory}/router.stats"
        router = router or f"{self.directory}/router.sock"
        self._prefix = prefix
        self._environment = dict(environment or {})
        self._lines = [
            "master = true",
            f"fastrouter = {router}",
            f"fastrouter-subscription-server = {self.subscription_server}",
            f"fastrouter-stats-server = {self.stats_server}",
            f"http = 0.0.0.0:{self.http_port}",
            f"http-to = {router.replace(EVERYWHERE, '127.0.0.1')}",
            *lines,
        ]

    def __enter__(self) -> Self:
        (self.directory / "router.ini").write_text(ini(self._lines))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self._prefix, UWSGI, "--ini", self.directory / "router.ini"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**environment, **self._environment},
            )
        eventually(self.answers, "the router answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory)

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.stats())
        return False

    def stats(self) -> dict[str, Any]:
        return stats.read(self.stats_server)

    def nodes(self, key: str = "app.test") -> set[str]:
        """The addresses that it sends requests to."""
        return stats.live_nodes(self.stats()).get(key, set())

    def wait_nodes(self, count: int, key: str = "app.test") -> None:
        eventually(lambda: len(self.nodes(key)) == count, f"{count} nodes at the router", 60)


class Fewest:
    """The fewest nodes that a router has sent requests to, looked at all the time from entering until leaving."""

    def __init__(self, nodes: Callable[[], set[str]]) -> None:
        self._nodes = nodes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.counts: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.counts.add(len(self._nodes()))


@contextmanager
def other_host() -> Iterator[list[str]]:
    """Another host at `THERE`; gives the words before a command that runs there. Needs root."""
    if os.geteuid() != 0:
        cannot_run("only root may make a network namespace")
    ip = needed("ip")
    name = f"urh-{os.getpid()}"
    inside = [ip, "netns", "exec", name]
    ends = f"urh{os.getpid()}a", f"urh{os.getpid()}b"
    _run(ip, "netns", "add", name)
    try:
        _run(ip, "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name)
        _run(ip, "addr", "add", f"{HERE}/30", "dev", ends[0])
        _run(ip, "link", "set", ends[0], "up")
        for command in (
            [ip, "addr", "add", f"{THERE}/30", "dev", ends[1]],
            [ip, "link", "set", ends[1], "up"],
            [ip, "link", "set", "lo", "up"],
        ):
            _run(*inside, *command)
        yield inside
    finally:
        _run(ip, "netns", "del", name)


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


@contextmanager
def running(command: Sequence[str]) -> Iterator[None]:
    """A process that is ended at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time_t shown = now.tv_sec + (SECONDS);
    if (into) *into = shown;
    return shown;
}
"""


def other_clock(directory: Path, seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is so many seconds ahead: uWSGI asks time(2) (core/clock.c)."""
    (directory / "clock.c").write_text(CLOCK.replace("SECONDS", str(seconds)))
    _run(needed("gcc"), "-shared", "-fPIC", "-o", str(directory / "clock.so"), str(directory / "clock.c"))
    return {"LD_PRELOAD": str(directory / "clock.so")}
