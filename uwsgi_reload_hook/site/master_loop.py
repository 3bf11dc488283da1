"""What a uWSGI master waits for, by the event queue of its loop as the kernel shows it (/proc/PID/fdinfo, proc(5)).

A master that loads its application has no such queue yet: it makes one when it enters its loop, and puts the pipe to
the Emperor into it (core/master.c). Its listening sockets are in there only while it has no worker (`cheap`, `idle`),
so that the first request ends its rest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from uwsgi_reload_hook.site import peers, processes
from uwsgi_reload_hook.site.sockets import same_socket

__all__ = ["loads", "rests"]

_QUEUE = "anon_inode:[eventpoll]"


def loads(pid: int) -> bool | None:
    """Whether a vassal's master has not entered its loop yet, because it loads; None = that cannot be read."""
    watched = _watched(pid)
    return None if watched is None else not watched


def rests(pid: int, addresses: Collection[str]) -> bool:
    """Whether a vassal's master itself waits for a request on one of these addresses, because it has no worker.

    False where that cannot be read.
    """
    watched = _watched(pid) if addresses else None
    if not watched:
        return False
    listening = [*_unix(pid, watched)]
    if not all(address.startswith(("/", "@")) for address in addresses):
        listening += [held for descriptor, held in processes.tcp_listeners(pid).items() if descriptor in watched]
    return any(same_socket(address, held) for address in addresses for held in listening)


def _watched(pid: int) -> frozenset[int] | None:
    """The descriptors that a vassal's master waits for; none = it is not in its loop; None = that cannot be read."""
    pipe = (processes.environment(pid) or {}).get("UWSGI_EMPEROR_FD", "")
    if not (pipe.isascii() and pipe.isdecimal()):
        return None
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - a path object for each costs more
            watched = _members(pid, descriptor)
            if int(pipe) in watched:
                return watched
    except OSError:
        return None
    return frozenset()


def _members(pid: int, descriptor: str) -> frozenset[int]:
    """The descriptors that are in a queue, by its lines `tfd: NUMBER …`; none if it is another kind of file.

    Raises OSError where it may not be read: a root without SYS_PTRACE can list descriptors, and read none of them.
    """
    try:
        if os.readlink(f"/proc/{pid}/fd/{descriptor}") != _QUEUE:  # noqa: PTH115 - a path object costs more
            return frozenset()
        text = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
    except FileNotFoundError:  # it was closed meanwhile
        return frozenset()
    lines = (line.split() for line in text.splitlines() if line.startswith("tfd:"))
    return frozenset(int(words[1]) for words in lines)


def _unix(pid: int, descriptors: Collection[int]) -> Iterable[str]:
    """The addresses of the listening unix sockets among a process's descriptors."""
    with contextlib.suppress(OSError):
        addresses = {f"socket:[{inode}]": address for inode, address in peers.listening_inodes().items()}
        for descriptor in descriptors:
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115 - a path object costs more
            if link in addresses:
                yield addresses[link]
