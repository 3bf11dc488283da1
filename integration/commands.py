"""The command line as a shell runs it, beside a farm."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from integration import layout as layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class Command:
    """One `uwsgi-reload-hook …` that runs; its output is read all the while."""

    def __init__(self, *arguments: object, program: Sequence[object] = ()) -> None:
        self.process = subprocess.Popen(
            [*map(str, program or (sys.executable, "-m", "uwsgi_reload_hook")), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.began = time.monotonic()
        self.seconds = 0.0
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.complaints)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Iterable[str], into: list[str]) -> None:
        into.extend(line.rstrip("\n") for line in stream)

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code, when it has ended by itself."""
        code = self.process.wait(seconds)
        self.seconds = time.monotonic() - self.began
        self._join()
        return code

    def end(self) -> None:
        """Kills it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    @property
    def said(self) -> str:
        return "\n".join([*self.lines, *self.complaints])


def environment() -> dict[str, str]:
    """This process's own, with the package to import."""
    path = [*map(str, layouts.python_path()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)} if path else dict(os.environ)


def sockets(directory: Path) -> list[str]:
    """The flags of the old script that say where the Emperor and the router of a farm are, by its directory."""
    return [
        f"--emperor-path={directory}/vassals",
        f"--fastrouter-stats-socket={directory}/router.stats",
        f"--emperor-stats-socket={directory}/emperor.stats",
    ]


def reload(directory: Path, *more: object) -> Command:
    """`reload`, which keeps its status beside the farm's trigger."""
    return Command("reload", *sockets(directory), f"--trigger={directory / layouts.TRIGGER}", *more)


def flags(lines: Iterable[str]) -> list[str]:
    """The lines of a hook's ini, as flags of the command line."""
    pairs = (line.removeprefix("reload-hook-").partition(" = ") for line in lines)
    return [f"--{name}={value.replace('%%', '%')}" for name, _, value in pairs]
