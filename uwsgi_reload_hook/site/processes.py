"""The process tree, by way of psutil. What the system does not let us read is None or empty, never a guess."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from uwsgi_reload_hook.site import peers

__all__ = [
    "boot_id",
    "children",
    "command_line",
    "environment",
    "is_linked",
    "is_running",
    "listening",
    "open_files",
    "parent",
    "reloads",
    "send_signal",
    "shares_hostname",
    "shares_network",
    "sole_user",
    "started",
    "user",
    "working_directory",
]


_COUNT = re.compile(r"-1|[0-9]{1,10}")
"""As uWSGI prints it, an int: whatever else a vassal's environment holds there has been put there by somebody."""


def _process(pid: int) -> psutil.Process:
    """Find a process. Raises psutil.Error, for -1 too: the Emperor has it for a vassal without a process."""
    return psutil.Process(max(pid, 0))


def parent(pid: int) -> int | None:
    """The parent's pid, None if there is none to see."""
    try:
        return _process(pid).ppid() or None
    except psutil.Error:
        return None


def children(pid: int) -> frozenset[tuple[int, int]] | None:
    """The direct children that live, as (pid, start in clock ticks since boot); None if they cannot be read."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()  # psutil reads every process of the host for this
        pids = [int(word) for word in listed.split()]
    except OSError:
        try:
            pids = [child.pid for child in _process(pid).children()]
        except psutil.Error:
            return None
    starts = ((child, started(child)) for child in pids)
    return frozenset((child, start) for child, start in starts if start is not None)


def started(pid: int) -> int | None:
    """When a process that lives was started, in clock ticks since boot; None for a zombie, and for one that has gone.

    With its pid they tell a process from all others of the same boot, whatever the wall clock does meanwhile: psutil's
    `create_time` moves with that clock, or does not, by its version.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    words = told.rpartition(b")")[2].split()  # the command before it may hold anything, a parenthesis too (proc(5))
    if len(words) <= _START or words[0] in _DEAD:
        return None
    return int(words[_START])


_START = 19
"""Where field 22 of /proc/PID/stat stands among those that follow the command, which is field 2."""
_DEAD = frozenset({b"Z", b"X", b"x"})


def boot_id() -> str:
    """What tells this boot of the host from all others, empty if it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether a process uses a CPU, or waits for one, at this moment."""
    try:
        return str(_process(pid).status()) == psutil.STATUS_RUNNING
    except psutil.Error:
        return False


def command_line(pid: int) -> list[str]:
    """The arguments, empty if they cannot be read."""
    try:
        return list(_process(pid).cmdline())
    except psutil.Error:
        return []


def working_directory(pid: int) -> str | None:
    """The current directory, None if it cannot be read (another user's process)."""
    try:
        return str(_process(pid).cwd())
    except psutil.Error:
        return None


def environment(pid: int) -> Mapping[str, str] | None:
    """The environment that the process's present image was started with, None if it cannot be read."""
    try:
        return dict(_process(pid).environ())
    except psutil.Error:
        return None


def reloads(pid: int) -> int | None:
    """How often a uWSGI master has re-executed itself, -1 for never, None if that cannot be read.

    Each image hands `UWSGI_RELOADS` to the next, counted up from 0 (core/init.c); the first has none, because the
    Emperor removes its own before it starts a vassal (core/emperor.c).
    """
    variables = environment(pid)
    if not variables:  # a vassal has at least UWSGI_EMPEROR_FD, but a process in the middle of its exec shows nothing
        return None
    count = variables.get("UWSGI_RELOADS", "-1")
    return int(count) if _COUNT.fullmatch(count) else None


def user(pid: int) -> int | None:
    """The user whose rights a process has (its effective uid), None if that cannot be read."""
    try:
        return int(_process(pid).uids().effective)
    except psutil.Error:
        return None


def sole_user(pid: int) -> int | None:
    """The only user whom a process belongs to; None of a set-uid program too, because another user has started that."""
    try:
        found = set(_process(pid).uids())
    except psutil.Error:
        return None
    return int(found.pop()) if len(found) == 1 else None


def shares_network(pid: int) -> bool | None:
    """Whether a process is in the network namespace of this one, None if that cannot be read."""
    try:
        return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except OSError:
        return None


def shares_hostname(pid: int) -> bool | None:
    """Whether a process is in the UTS namespace of this one, None if that cannot be read."""
    try:
        return Path(f"/proc/{pid}/ns/uts").samefile("/proc/self/ns/uts")
    except OSError:
        return None


def is_linked(pid: int, library: str) -> bool | None:
    """Whether a process has a shared library, such as `libyaml`, in its memory; None if that cannot be read."""
    try:
        return f"/{library}" in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return None


def listening(kind: str = "all") -> dict[int, frozenset[str]]:
    """For each process that can be read, the addresses of its listening or bound stream sockets.

    A unix socket is its path (abstract ones start with @), a TCP socket is host:port. `kind` is `all` or `unix`: a host
    with thousands of TCP connections takes a second to list.
    """
    try:
        found = _unix_listeners()
        kind = "" if kind == "unix" else "tcp"
    except OSError:
        found = {}
    for connection in _connections(kind) if kind else ():
        if connection.pid is None or connection.type != socket.SOCK_STREAM:
            continue
        address = connection.laddr
        if connection.family == socket.AF_UNIX:
            if address:  # a connection that was accepted bears its listener's path, which does no harm
                found.setdefault(connection.pid, set()).add(str(address).replace("\0", "@"))
        elif connection.status == psutil.CONN_LISTEN and not isinstance(address, str) and address:
            host = f"[{address.ip}]" if ":" in address.ip else address.ip
            found.setdefault(connection.pid, set()).add(f"{host}:{address.port}")
    return {pid: frozenset(addresses) for pid, addresses in found.items()}


def _unix_listeners() -> dict[int, set[str]]:
    """For each process that can be read, the unix addresses it listens on. Raises OSError as `listening_inodes`."""
    addresses = {f"socket:[{inode}]": address for inode, address in peers.listening_inodes().items()}
    found: dict[int, set[str]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            for link in open_files(int(process.name)):
                if link in addresses:
                    found.setdefault(int(process.name), set()).add(addresses[link])
    return found


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to, of every kind; nothing of a process that cannot be read."""
    found = []
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - a path object for each costs more than the rest
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))  # noqa: PTH115 - the same
    return found


def _connections(kind: str) -> Iterable[Any]:
    """The host's sockets; none where a line break in the path of one, which anybody may bind, confuses psutil."""
    try:
        return list(psutil.net_connections(kind=kind))
    except (psutil.Error, OSError, RuntimeError):
        return []


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal. Raises OSError where the system refuses it."""
    os.kill(pid, number)
