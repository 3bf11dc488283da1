"""Wakes a vassal's master: its loop sleeps up to a second, and any event on its sockets ends that (core/master.c)."""

from __future__ import annotations

import os
import socket
import stat
import time

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.peers import credentials
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.site.sockets import is_here, open_stream, resolve
from uwsgi_reload_hook.site.vassal_config import open_as

__all__ = ["wake"]

MEANINGLESS = b"\n"
"""A byte that is no command of the master FIFO (core/fifo.c): the master reads it and does nothing else."""

PATIENCE = 0.25
"""Seconds to wake one master, because all vassals of the roll wait for this. A stats socket answers at once."""
MOST = 4
"""FIFOs, and stats sockets, of a config that are tried, because a tenant may name thousands. uWSGI uses the last."""
CHUNK = 1 << 18


def wake(pid: int, config: str) -> bool:
    """Wake the master `pid` by its FIFO, else by a read of its stats socket; returns whether one of them worked.

    They are found in its config, and a FIFO also among its open files. A tenant may name a file or a socket of another
    user there, so only those of the vassal's own user, on this host, are used.
    """
    end = time.monotonic() + PATIENCE
    user = processes.user(pid)
    if user is None:
        return False
    options = of_vassal(pid, config)
    directory = processes.working_directory(pid)
    fifos = (resolve(path, directory) for path in options.found("master-fifo")[:MOST])
    held = (path for path in processes.open_files(pid) if path.startswith("/"))
    if any(time.monotonic() < end and _write(path, user) for path in (*fifos, *held)):
        return True
    stats = [resolve(address, directory) for address in options.found("stats", "stats-server")]
    return any(time.monotonic() < end and _read(address, pid, user, end) for address in stats[-MOST:])


def _write(path: str, user: int) -> bool:
    """Write to a FIFO of the master's user. The file is checked before it is opened, because opening a device acts."""
    try:
        descriptor = open_as(path, lambda status: stat.S_ISFIFO(status.st_mode) and status.st_uid == user, os.O_WRONLY)
    except OSError:  # no such FIFO, or no reader, because the master is restarting
        return False
    try:
        return os.write(descriptor, MEANINGLESS) == len(MEANINGLESS)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _read(address: str, pid: int, user: int, end: float) -> bool:
    """Read a stats socket of the master or its user, until its answer or the time ends; returns whether it answered."""
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
