"""The process tree, read through psutil. What this user may not read is None or empty, never a guess."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil

from uwsgi_reload_hook.site import peers

__all__ = [
    "accepted_at",
    "boot_id",
    "children",
    "command_line",
    "environment",
    "is_hidden",
    "is_linked",
    "is_running",
    "listening",
    "listening_in_order",
    "open_files",
    "parent",
    "pid_namespace",
    "reloads",
    "running",
    "send_signal",
    "shares_hostname",
    "shares_network",
    "sole_user",
    "started",
    "tcp_listeners",
    "user",
    "working_directory",
]


T = TypeVar("T")
_COUNT = re.compile(r"-1|[0-9]{1,10}")
"""An int as uWSGI prints it: a tenant can put any other text into the environment."""


def _read(pid: int, fact: Callable[[psutil.Process], T]) -> T | None:
    """A fact of a process, None if it cannot be read. The Emperor gives -1 for a vassal without a process."""
    try:
        return fact(psutil.Process(max(pid, 0)))
    except psutil.Error:
        return None


def parent(pid: int) -> int | None:
    """The parent's pid, None = there is none, or it cannot be read."""
    return _read(pid, lambda process: process.ppid()) or None


def children(pid: int) -> frozenset[tuple[int, int]] | None:
    """The living children as (pid, start in clock ticks since boot), without zombies; None = not readable."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()  # psutil would read every process of the host
        pids: list[int] | None = [int(word) for word in listed.split()]
    except OSError:
        pids = _read(pid, lambda process: [child.pid for child in process.children()])
    if pids is None:
        return None
    starts = ((child, started(child)) for child in pids)
    return frozenset((child, start) for child, start in starts if start is not None)


def started(pid: int) -> int | None:
    """When a living process was started, in clock ticks since boot; None = it is a zombie, or has ended.

    The pid and the ticks together identify a process within a boot. psutil's `create_time` does not, because in some
    versions it moves with the wall clock.
    """
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = line.rpartition(b")")[2].split()  # the command may hold parentheses too (proc(5))
    if len(fields) <= _START or fields[0] in _DEAD:
        return None
    return int(fields[_START])


_START = 19
"""The index of field 22 of /proc/PID/stat (`starttime`) after the command, which is field 2."""
_DEAD = frozenset({b"Z", b"X", b"x"})


def boot_id() -> str:
    """The id of this boot of the host, empty if it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """The inode of this process's pid namespace, in which alone its pids mean anything; 0 = it cannot be read."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def is_hidden(pid: int) -> bool:
    """Whether a process has this pid and shows nothing of itself: /proc may hide those of others (hidepid, proc(5))."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return False
    return not os.path.exists(f"/proc/{pid}/stat")  # noqa: PTH110 - Path.exists raises where it may not look


def running(program: str) -> list[int]:
    """The pids of the processes whose command line begins with a program of about this name."""
    found = []
    for pid in psutil.pids():
        arguments = command_line(pid)
        if arguments and program in os.path.basename(arguments[0]).lower():  # noqa: PTH119 - a text
            found.append(pid)
    return found


def is_running(pid: int) -> bool:
    """Whether a process uses a CPU, or waits for one, now."""
    return _read(pid, lambda process: str(process.status())) == psutil.STATUS_RUNNING


def command_line(pid: int) -> list[str]:
    """A process's arguments, empty if they cannot be read."""
    return _read(pid, lambda process: process.cmdline()) or []


def working_directory(pid: int) -> str | None:
    """A process's current directory, None if it cannot be read (another user's process)."""
    return _read(pid, lambda process: process.cwd())


def environment(pid: int) -> Mapping[str, str] | None:
    """The environment that a process's last exec was given, None if it cannot be read."""
    return _read(pid, lambda process: process.environ())


def reloads(pid: int) -> int | None:
    """How often a uWSGI master has re-executed itself, -1 = never, None = not readable.

    At each exec it hands `UWSGI_RELOADS` on, counted up from 0 (core/init.c). A new master has none, because the
    Emperor removes the variable before it starts a vassal (core/emperor.c).
    """
    variables = environment(pid)
    if not variables:  # a vassal has UWSGI_EMPEROR_FD, but shows nothing in the middle of its exec
        return None
    count = variables.get("UWSGI_RELOADS", "-1")
    return int(count) if _COUNT.fullmatch(count) else None


def user(pid: int) -> int | None:
    """A process's effective uid, None if it cannot be read."""
    return _read(pid, lambda process: process.uids().effective)


def sole_user(pid: int) -> int | None:
    """A process's uid; None if it cannot be read, or if its uids differ, as a set-uid program's do."""
    users = _read(pid, lambda process: set(process.uids())) or set()
    return users.pop() if len(users) == 1 else None


def shares_network(pid: int) -> bool | None:
    """Whether a process is in this one's network namespace, None if that cannot be read."""
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
    """The addresses of the listening or bound stream sockets of each process that can be read.

    A unix socket's is its path, or `@name` if abstract; a TCP socket's is host:port. `kind` is `all`, or `unix` to
    leave TCP out, because a host with thousands of TCP connections takes a second to list.
    """
    try:
        listeners = _unix_listeners()
        kind = "" if kind == "unix" else "tcp"
    except OSError:
        listeners = {}
    for connection in _connections(kind) if kind else ():
        if connection.pid is None or connection.type != socket.SOCK_STREAM:
            continue
        address = connection.laddr
        if connection.family == socket.AF_UNIX:
            if address:  # an accepted connection has its listener's path too, which does no harm
                listeners.setdefault(connection.pid, set()).update(_as_proc_writes(str(address)))
        elif connection.status == psutil.CONN_LISTEN and not isinstance(address, str) and address:
            listeners.setdefault(connection.pid, set()).add(_host_and_port(address))
    return {pid: frozenset(addresses) for pid, addresses in listeners.items()}


def accepted_at(port: int) -> list[tuple[int, int]]:
    """The processes that have connections at a local TCP port, and the port at the other end of each."""
    return [
        (one.pid, one.raddr.port)
        for one in _connections("tcp")
        if one.pid is not None and one.raddr and one.laddr.port == port
    ]


def tcp_listeners(pid: int) -> dict[int, str]:
    """The host:port that each of a process's descriptors listens on, none if the process cannot be read."""
    connections = _read(pid, _tcp_connections) or []
    return {one.fd: _host_and_port(one.laddr) for one in connections if one.status == psutil.CONN_LISTEN}


def _tcp_connections(process: psutil.Process) -> list[Any]:
    if hasattr(process, "net_connections"):
        return process.net_connections("tcp")
    return process.connections("tcp")  # psutil before 6


def _host_and_port(address: Any) -> str:  # noqa: ANN401 - a tuple of psutil's
    host = f"[{address.ip}]" if ":" in address.ip else address.ip
    return f"{host}:{address.port}"


def listening_in_order(pid: int) -> list[str]:
    """The addresses that a process listens on, in the order of its descriptors, and those of unknown order last."""
    with contextlib.suppress(OSError):
        addresses = {f"socket:[{inode}]": address for inode, address in peers.listening_inodes().items()}
        ordered = [addresses[link] for link in open_files(pid) if link in addresses]
        return [*ordered, *sorted(listening().get(pid, frozenset()) - {*ordered})]
    return sorted(listening().get(pid, ()))


def _unix_listeners() -> dict[int, set[str]]:
    """The unix addresses that each readable process listens on. Raises OSError as `listening_inodes` does."""
    addresses = {f"socket:[{inode}]": address for inode, address in peers.listening_inodes().items()}
    listeners: dict[int, set[str]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            for link in open_files(int(process.name)):
                if link in addresses:
                    listeners.setdefault(int(process.name), set()).add(addresses[link])
    return listeners


def _as_proc_writes(path: str) -> Iterable[str]:
    """The addresses that a path of /proc/net/unix may mean, where each NUL is an `@`, uWSGI's last one too."""
    address = path.replace("\0", "@")
    return {address, address[:-1]} if len(address) > 1 and address[0] == address[-1] == "@" else {address}


def open_files(pid: int) -> list[str]:
    """The targets of a process's descriptors, the lowest first; empty if the process cannot be read."""
    targets = []
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - a path object for each costs more than the rest
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                targets.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))  # noqa: PTH115 - the same
    return targets


def _connections(kind: str) -> Iterable[Any]:
    """The host's sockets; none where a path with a line break, which any user may bind, makes psutil fail."""
    try:
        return list(psutil.net_connections(kind=kind))
    except (psutil.Error, OSError, RuntimeError):
        return []


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal. Raises OSError where the system refuses it."""
    os.kill(pid, number)
