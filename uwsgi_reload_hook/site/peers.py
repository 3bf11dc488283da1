"""The processes and users behind sockets, as the kernel attests them: a process may lie about itself."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.addresses import host_and_port, is_unix
from uwsgi_reload_hook.site.unix_sockets import connect, target_of, written

__all__ = [
    "Peer",
    "abstract_listeners",
    "accepted",
    "credentials",
    "datagram_user",
    "is_listener",
    "listener",
    "listening_inodes",
    "listening_pid",
    "port_users",
]

SOCKETS = Path("/proc/self/net/unix")
TIMEOUT = 4.0
"""Seconds to wait for the kernel, which answers at once."""
CHUNK = 1 << 18
"""Bytes: the kernel sends its list in pieces of at most 32 KiB (net/netlink/af_netlink.c)."""
_SOCK_DIAG, _REQUEST, _DUMP, _ERROR, _DONE = 4, 1, 0x300, 2, 3
_BY_FAMILY, _ESTABLISHED, _LISTENING, _ANY_STATE = 20, 1 << 1, 1 << 10, 2**32 - 1
_NAME, _VFS, _PEER, _UID = 0, 1, 2, 7
_SHOW = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 6
"""Constants of linux/netlink.h, sock_diag.h and unix_diag.h. Linux 5.3 and newer give the user."""
_LISTEN = "0A"
"""The state TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp writes it."""
_HEADER, _MESSAGE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBIII"), struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that called `listen` on a socket."""

    pid: int
    """0 = not known, because the process is in another pid namespace or the socket's backlog stays full."""
    uid: int


def listener(address: str, wait: float = 0.0) -> Peer | None:
    """The process that listens on a unix stream socket (`@name` if abstract); None = there is none.

    An address that begins with a NUL is the kernel's name itself: `@name` may be that, or uWSGI's with a NUL more.
    `wait` is how many seconds to wait for room in its backlog. Raises BlockingIOError where that stays full.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if wait:  # Python's own timeout does not wait for room in a backlog
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, int(wait * 1_000_000)))
        else:
            connection.setblocking(False)
        try:
            connect(connection, target_of(address))
        except BlockingIOError:
            raise
        except OSError:
            return None
        return credentials(connection)


def listening_pid(address: str) -> int | None:
    """The pid of the process that listens at a unix address; None = there is none, or its backlog is full."""
    try:
        peer = listener(address) if is_unix(address) else None
    except BlockingIOError:
        return None
    return peer.pid if peer is not None else None


def is_listener(address: str, users: Collection[int]) -> bool:
    """Whether a process of one of `users` listens at an address, because another one may have taken a path over.

    Of a TCP port the kernel gives no process, but the user who made the socket, whatever process has it by now.
    """
    if not is_unix(address):
        makers = port_users(address, "tcp")
        return bool(makers) and makers <= frozenset(users)
    try:
        peer = listener(address)
    except BlockingIOError:
        return False
    return peer is not None and peer.uid in users


def credentials(connection: socket.socket) -> Peer:
    """The process that listens at the other end of a unix stream connection (SO_PEERCRED, unix(7))."""
    pid, uid, _ = struct.unpack("@iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


def abstract_listeners(pattern: re.Pattern[str]) -> dict[str, int | None]:
    """The names of the abstract stream sockets of this network namespace that match and are listened on.

    Each with the user who made it; None = not known, because the kernel may not be asked by netlink, and its list in
    /proc gives no users. Raises OSError where that cannot be read either.
    """
    try:
        listeners = {
            os.fsdecode(one.name[1:]): one.user
            for one in _asked(_LISTENING)
            if one.kind == socket.SOCK_STREAM and one.name.startswith(b"\0")
        }
    except OSError:
        listeners = dict.fromkeys(_read())
    return {name: user for name, user in listeners.items() if pattern.fullmatch(name)}


def datagram_user(path: str) -> int | None:
    """The user who made the datagram socket at a path, or with an abstract name (`@name`); None = not known."""
    try:
        file = None if path.startswith("@") else os.stat(path)  # noqa: PTH116 - beside the name of a file
        for one in _asked(_ANY_STATE):
            if one.kind == socket.SOCK_DGRAM and one.is_at(path, file):
                return one.user
    except (OSError, ValueError):
        return None
    return None


def listening_inodes() -> dict[int, str]:
    """The address of each unix stream socket that is listened on by its inode, as `written` writes it.

    Raises OSError where the kernel may not be asked by netlink. Its list in /proc is no substitute, because a user who
    binds a name with a line break can put any line there.
    """
    addresses = {}
    for one in _asked(_LISTENING):
        if one.kind == socket.SOCK_STREAM and one.name:
            addresses[one.number] = written(os.fsdecode(one.name))
    return addresses


def accepted(client: int) -> tuple[int, frozenset[int]]:
    """The inode of the other end of a unix connection, and those of all ends that its listener has made.

    `client` is the inode of this end. Raises OSError where the kernel may not be asked, or there is no other end.
    """
    every = [one for one in _asked(_ESTABLISHED) if one.kind == socket.SOCK_STREAM]
    ours = next((one for one in every if one.peer == client), None)
    if ours is None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    return ours.number, frozenset(one.number for one in every if (one.name, one.inode) == (ours.name, ours.inode))


@dataclass(frozen=True, slots=True)
class _Socket:
    """A unix socket in the kernel's list."""

    kind: int
    number: int
    """The socket's inode, as /proc/PID/fd has it."""
    name: bytes
    user: int | None
    """The user who made the socket; None = not known."""
    inode: int | None
    """The inode of the file that the socket is bound to; None = it has an abstract name, or none."""
    peer: int | None = None
    """The inode of the socket at the other end of its connection; None = it is not connected."""

    def is_at(self, path: str, file: os.stat_result | None) -> bool:
        if file is None:
            return self.name.startswith(b"\0") and self.name.strip(b"\0") == os.fsencode(path[1:])
        return self.inode == file.st_ino and not self.name.startswith(b"\0")


def _asked(states: int) -> Iterator[_Socket]:
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, states, 0, _SHOW, 2**32 - 1, 2**32 - 1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(TIMEOUT)
        kernel.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST | _DUMP, 1, 0) + request)
        while True:
            answer = kernel.recv(CHUNK)
            for kind, body in _messages(answer, _HEADER):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    problem = -struct.unpack_from("=i", body)[0]
                    raise OSError(problem, os.strerror(problem))
                number = _MESSAGE.unpack_from(body)[4]
                attributes = dict(_messages(body[_MESSAGE.size :], _ATTRIBUTE))
                user, inode = _number(attributes.get(_UID)), _number(attributes.get(_VFS))
                peer = _number(attributes.get(_PEER))
                yield _Socket(body[1], number, attributes.get(_NAME, b""), user, inode, peer)


def _number(attribute: bytes | None) -> int | None:
    return None if attribute is None else int(struct.unpack_from("=I", attribute)[0])


def port_users(address: str, kind: str) -> frozenset[int]:
    """The users who made the sockets that receive what is sent to host:port in this network namespace.

    `kind` is `udp`, or `tcp`, of which listening sockets alone count. The kernel prefers a socket that is bound to the
    host itself to one that is bound to all hosts.
    """
    try:
        split = host_and_port(address)
    except ValueError:
        return frozenset()
    if split is None:
        return frozenset()
    host, number = split[0].strip("[]"), split[1]
    host = {"localhost": "127.0.0.1", "*": "", "0.0.0.0": "", "::": ""}.get(host, host)  # noqa: S104 - not bound
    try:
        ipaddress.ip_address(host or "::")
    except ValueError:  # a name is not looked up, because a tenant who chose it may have its name server wait
        return frozenset()
    there = [(bound, user) for bound, port, user in _bound(kind) if port == number]
    exact = frozenset(user for bound, user in there if bound == host)
    return exact or frozenset(user for bound, user in there if not (host and bound))


def _bound(kind: str) -> Iterator[tuple[str, int, int]]:
    """Of each bound socket of a kind the host (empty = all hosts), the port, and the user who made it (proc(5))."""
    for family, version in ((socket.AF_INET, kind), (socket.AF_INET6, f"{kind}6")):
        try:
            lines = SOCKETS.with_name(version).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if kind == "udp" or fields[3] == _LISTEN:
                digits, _, port = fields[1].partition(":")
                parts = (int(digits[at : at + 8], 16) for at in range(0, len(digits), 8))
                packed = b"".join(struct.pack("=I", part) for part in parts)
                yield socket.inet_ntop(family, packed) if any(packed) else "", int(port, 16), int(fields[7])


def _messages(data: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Split netlink messages, or their attributes. Each begins with its length and kind, and is padded to 4 bytes."""
    while len(data) >= header.size:
        length, kind = header.unpack_from(data)[:2]
        yield kind, data[header.size : length]
        data = data[max(length + 3 & ~3, header.size) :]


_LISTENER = re.compile(rb"^\S+ \S+ \S+ 00010000 0001 01 +\d+ @(.*)$", re.MULTILINE)


def _read() -> list[str]:
    """The names in /proc. One may be made up, by a line break in another name, so the caller has to connect to it."""
    return [os.fsdecode(name) for name in _LISTENER.findall(SOCKETS.read_bytes())]
