"""Who listens on a socket, and whose it is: as the kernel attests, not as a process tells of itself."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peer", "abstract_listeners", "listener"]

SOCKETS = Path("/proc/self/net/unix")
TIMEOUT = 4.0
"""Seconds for an answer of the kernel, which comes at once."""
CHUNK = 1 << 18
"""Bytes: the kernel sends its list in pieces of at most 32 KiB (net/netlink/af_netlink.c)."""
_SOCK_DIAG, _REQUEST, _DUMP, _ERROR, _DONE = 4, 1, 0x300, 2, 3
_BY_FAMILY, _LISTENING = 20, 1 << 10
_SHOW_NAME, _SHOW_UID, _NAME, _UID = 1, 0x40, 0, 7
"""Of linux/netlink.h, sock_diag.h and unix_diag.h. Linux 5.3 and newer tell the user."""
_HEADER, _MESSAGE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBIII"), struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that called `listen` on a socket."""

    pid: int
    """0 = not known, because it lives in another pid namespace or its backlog stays full."""
    uid: int


def listener(address: str, wait: float = 0.0) -> Peer | None:
    """Tell who listens on a unix stream socket (an abstract one's name after `@`); None = nobody.

    `wait` is how many seconds it may take to connect, 0 = none. Raises BlockingIOError where its backlog stays full.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if wait:  # Python's own timeout does not wait for room in a backlog
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, int(wait * 1_000_000)))
        else:
            connection.setblocking(False)
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
        except BlockingIOError:
            raise
        except OSError:
            return None
        return credentials(connection)


def credentials(connection: socket.socket) -> Peer:
    """Tell who listens at the other end of a unix stream connection (SO_PEERCRED, unix(7))."""
    pid, uid, _ = struct.unpack("@iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


def abstract_listeners(pattern: re.Pattern[str]) -> dict[str, int | None]:
    """The abstract stream sockets listened on whose names match, and the user who made each; None = not told.

    The sockets of this network namespace. Whoever may not ask the kernel by netlink reads its list, which tells no
    users. Raises OSError where there is neither.
    """
    try:
        found = dict(_asked())
    except OSError:
        found = dict.fromkeys(_read())
    return {name: user for name, user in found.items() if pattern.fullmatch(name)}


def _asked() -> Iterator[tuple[str, int | None]]:
    request = struct.pack(
        "=BBHIIIII", socket.AF_UNIX, 0, 0, _LISTENING, 0, _SHOW_NAME | _SHOW_UID, 2**32 - 1, 2**32 - 1
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(TIMEOUT)
        kernel.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST | _DUMP, 1, 0) + request)
        while True:
            answer = kernel.recv(CHUNK)
            for kind, body in _messages(answer, _HEADER):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                attributes = dict(_messages(body[_MESSAGE.size :], _ATTRIBUTE))
                name, user = attributes.get(_NAME, b""), attributes.get(_UID)
                if body[1] == socket.SOCK_STREAM and name.startswith(b"\0"):
                    yield os.fsdecode(name[1:]), None if user is None else struct.unpack("=I", user)[0]


def _messages(data: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Split netlink messages, or attributes: each begins with its length and kind, and is padded to 4 bytes."""
    while len(data) >= header.size:
        length, kind = header.unpack_from(data)[:2]
        yield kind, data[header.size : length]
        data = data[max(length + 3 & ~3, header.size) :]


_LISTENER = re.compile(rb"^\S+ \S+ \S+ 00010000 0001 01 +\d+ @(.*)$", re.MULTILINE)


def _read() -> list[str]:
    """A line may be no socket, but a part of a name with a line break in it: whoever connects finds out."""
    return [os.fsdecode(name) for name in _LISTENER.findall(SOCKETS.read_bytes())]
