"""Wakes a vassal's master early: its loop sleeps up to a second, and any event ends that sleep (core/master.c)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from uwsgi_reload_hook import processes
from uwsgi_reload_hook.configs import open_as, vassal_options
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.sockets import StatsSocket, resolve

__all__ = ["nudge"]

MEANINGLESS = b"\n"
"""No command of the master FIFO (core/fifo.c): it is read, and nothing is done."""


def nudge(pid: int, config: str) -> bool:
    """Wake the master `pid` by its FIFO, else by a read of its own stats socket; returns whether there was either.

    Both are found in its config. A master FIFO that is not is found among the files that the process holds open.
    """
    found = vassal_options(pid, config)
    directory = processes.working_directory(pid)
    fifos = (resolve(path, directory) for path in found.get("master-fifo", []))
    if any(_write(path) for path in (*fifos, *_open_fifos(pid))):
        return True
    stats = [resolve(address, directory) for name in ("stats", "stats-server") for address in found.get(name, [])]
    return any(_read(address) for address in stats)


def _open_fifos(pid: int) -> Iterator[str]:
    """The FIFOs that a process holds open, which psutil does not list; none of another user's."""
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("/"):
            yield target


def _write(path: str) -> bool:
    """Write to a FIFO, and to nothing else: a vassal's user may put another file, or a link, there at any moment."""
    try:
        descriptor = open_as(path, stat.S_ISFIFO, os.O_WRONLY)
    except OSError:  # it is no FIFO, or nobody reads it at the moment: the master is in the middle of its restart
        return False
    try:
        return os.write(descriptor, MEANINGLESS) == len(MEANINGLESS)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _read(address: str) -> bool:
    try:
        StatsSocket(address).read(ask=False)
    except UnavailableError:
        return False
    return True
