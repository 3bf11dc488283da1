"""Wakes a vassal's master early: its loop sleeps up to a second, and any event ends that sleep (core/master.c)."""

from __future__ import annotations

import os
import socket
import stat
import time

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.peers import credentials
from uwsgi_reload_hook.site.sockets import is_here, open_stream, resolve
from uwsgi_reload_hook.site.vassal_config import open_as, vassal_options

__all__ = ["nudge"]

MEANINGLESS = b"\n"
"""No command of the master FIFO (core/fifo.c): it is read, and nothing is done."""

PATIENCE = 0.25
"""Seconds for all of one nudge: a stats socket's answer comes at once, and the master is awake then."""
MOST = 4
"""FIFOs that a config names, and stats sockets, of which uWSGI takes the last: it may name thousands."""
CHUNK = 1 << 18


def nudge(pid: int, config: str) -> bool:
    """Wake the master `pid` by its FIFO, else by a read of its own stats socket; returns whether there was either.

    Both are found in its config. A master FIFO that is not is found among the files that the process holds open. What
    a config names, or a process holds, may be somebody else's: only what belongs to the vassal is written to and read,
    and nothing on another host. However many there are, all vassals of a roll wait for it, so that it soon ends.
    """
    end = time.monotonic() + PATIENCE
    user = processes.user(pid)
    if user is None:
        return False
    options = vassal_options(pid, config)
    directory = processes.working_directory(pid)
    fifos = (resolve(path, directory) for path in options.get("master-fifo", [])[:MOST])
    held = (path for path in processes.open_files(pid) if path.startswith("/"))
    if any(time.monotonic() < end and _write(path, user) for path in (*fifos, *held)):
        return True
    stats = [resolve(address, directory) for name in ("stats", "stats-server") for address in options.get(name, [])]
    return any(time.monotonic() < end and _read(address, pid, user, end) for address in stats[-MOST:])


def _write(path: str, user: int) -> bool:
    """Write to a FIFO of `user`: its master made it. Looked at before it is opened, because a device does something."""
    try:
        descriptor = open_as(path, lambda status: stat.S_ISFIFO(status.st_mode) and status.st_uid == user, os.O_WRONLY)
    except OSError:  # it is another, or nobody reads it at the moment: the master is in the middle of its restart
        return False
    try:
        return os.write(descriptor, MEANINGLESS) == len(MEANINGLESS)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _read(address: str, pid: int, user: int, end: float) -> bool:
    """Read a stats socket that the master or its user listens on, to its end, as far as that comes before `end`."""
    answered = False
    if not is_here(address):
        return False
    try:
        with open_stream(address) as connection:
            if connection.family == socket.AF_UNIX:
                peer = credentials(connection)
                if pid != peer.pid and user != peer.uid:
                    return False
            while (left := end - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(CHUNK):
                    break
                answered = True
    except (OSError, UnavailableError):
        return answered
    return answered
