"""Finds the worker that hangs in a request of the hook, and does nothing else."""

from __future__ import annotations

import os
import socket

from uwsgi_reload_hook.site import peers, processes

__all__ = ["worker_of"]


def worker_of(connection: socket.socket, master: int) -> int | None:
    """The worker of a vassal that has accepted a connection of the hook, and no other one at the same address.

    None = there is none, it has other requests too, or it cannot be seen. `master` is the pid of the vassal's master.
    """
    workers = [child for child, _ in processes.children(master) or ()]
    try:
        if connection.family != socket.AF_UNIX:
            server = connection.getpeername()[1]
            remotes = processes.accepted_at(server)
            found = [pid for pid, remote in remotes if remote == connection.getsockname()[1] and pid in workers]
            return found[0] if len([pid for pid, _ in remotes if pid in found]) == 1 else None
        ours, alike = peers.accepted(os.fstat(connection.fileno()).st_ino)
    except OSError:
        return None
    for worker in workers:
        held = {number for number in alike if f"socket:[{number}]" in processes.open_files(worker)}
        if held == {ours}:
            return worker
    return None
