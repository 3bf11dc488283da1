"""Everything that goes through a socket: stats reads, datagrams, connections."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from uwsgi_reload_hook.addresses import FORMS, abstract, host_and_port, is_unix
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site.names import OddNames
from uwsgi_reload_hook.site.unix_sockets import connect, target_of
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["StatsSocket", "accepts", "is_datagram_path", "is_here", "open_stream", "resolve", "same_socket", "send"]

TIMEOUT = 4.0
"""Seconds, as uWSGI's default `socket-timeout`, after which uWSGI itself gives a connection up."""
UNASKED = 0.25
"""Seconds after which a silent stats socket gets an HTTP request, because with `stats-http` uWSGI waits for one."""
CHUNK = 1 << 18
LIMIT = 1 << 24
"""Bytes of an answer. Stats have some 500 for a vassal and 400 for a node, so this is enough for 32,000 of either.

No more are read, because a hostile answer of 32 MiB took 11 s of a CPU and 2.3 GB. One of this length takes 4 s.
"""
LONGEST_LABEL = 63
"""Characters of one part of a host's name (RFC 1035)."""

SocketAddress = str | tuple[str, int]


def _parse(address: str) -> tuple[socket.AddressFamily, SocketAddress]:
    """Make the family and the address that `connect` takes."""
    try:
        split = host_and_port(address)
    except ValueError as error:
        raise UnavailableError(f"{address} is no address: give {error}") from None
    if split is None:
        if not _is_path(address):
            raise UnavailableError(f"{address} is no address: no file can have this name")
        return socket.AF_UNIX, target_of(address)
    host, port = split[0].strip("[]") or "127.0.0.1", split[1]
    if not _is_host(host):
        raise UnavailableError(f"{address} is no address: give {FORMS}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, ("127.0.0.1" if host in {"0.0.0.0", "*"} else host, port)  # noqa: S104 - compared, not bound


def _numeric(address: str) -> tuple[socket.AddressFamily, SocketAddress]:
    """Parse an address that a tenant may have chosen. No name is looked up, because his name server may wait."""
    family, target = _parse(address)
    if isinstance(target, str):
        return family, target
    host = "127.0.0.1" if target[0] == "localhost" else target[0]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UnavailableError(
            f"{address} has a host's name, which is not looked up here; give the host in numbers"
        ) from None
    return family, (host, target[1])


def is_here(address: str) -> bool:
    """Whether an address is a path, or a numeric address of this host, because only those can be bound here."""
    try:
        family, target = _numeric(address)
        if isinstance(target, str):
            return True
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((target[0], 0))
    except (OSError, UnavailableError):
        return False
    return True


def _is_path(address: str) -> bool:
    try:
        os.fsencode(address)
    except UnicodeEncodeError:
        return False
    return True


def _is_host(host: str) -> bool:
    """Whether the resolver takes this name; of empty and overlong labels it raises another error than OSError."""
    labels = host.removesuffix(".").split(".")
    return host.isascii() and host.isprintable() and all(0 < len(label) <= LONGEST_LABEL for label in labels)


def resolve(address: str, directory: str | None) -> str:
    """Make a relative path absolute, from the directory of the process that has bound it, and write `@name` one way."""
    if ":" in address or address.startswith("\0") or is_unix(address) or directory is None:
        return abstract(address)
    return str(Path(directory) / address)


def same_socket(node: str, listening: str) -> bool:
    """Whether a router's node address means that listening socket; a wildcard host matches any host."""
    node, listening = abstract(node), abstract(listening)
    if node == listening or (node.startswith("/") and os.path.normpath(node) == os.path.normpath(listening)):
        return True  # uWSGI's %d ends with a slash, and %d/app.sock has two
    node_host, _, node_port = node.rpartition(":")
    host, _, port = listening.rpartition(":")
    if not (port.isdecimal() and port == node_port) or "/" in node or "/" in listening:
        return False
    wildcards = {"", "0.0.0.0", "*", "[::]"}  # noqa: S104 - compared, not bound
    return node_host == host or node_host in wildcards or host in wildcards


class StatsSocket:
    """One stats socket.

    With `stats-http` uWSGI waits for a request before it answers, and the Emperor does nothing else meanwhile. So a
    socket that has once answered in HTTP gets its request at once from then on.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = False
        self._names = OddNames()

    def read(self, *, ask: bool = True) -> stats.Document:
        """Read and decode one whole answer. Raises UnavailableError that names the address.

        With `ask` false nothing is sent, because it may be another kind of socket.
        """
        try:
            text = self._read_all(ask=ask)
        except OSError as error:
            words = error.strerror or str(error) or type(error).__name__
            raise UnavailableError(f"the stats socket {self.address} cannot be read: {words}") from error
        try:
            return stats.decode(text, self._names.ids)
        except UnavailableError as error:
            raise UnavailableError(f"{self.address}: {error}") from error

    def _read_all(self, *, ask: bool) -> str:
        family, target = _parse(self.address)
        end = time.monotonic() + TIMEOUT
        chunks: list[bytes] = []
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connect(connection, target)
            if not self._http:
                connection.settimeout(UNASKED)
                try:
                    chunks.append(connection.recv(CHUNK))
                except TimeoutError:
                    if not ask:
                        raise
            if not chunks:
                with contextlib.suppress(BrokenPipeError):  # it has answered meanwhile
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            chunks += _rest(connection, end)
        text = os.fsdecode(b"".join(chunks))  # ids and addresses are paths
        self._http = self._http or text.startswith("HTTP/")
        return text


def _rest(connection: socket.socket, end: float) -> Iterator[bytes]:
    """Read the rest of an answer. Raises OSError if it is not there before `end`, or is longer than LIMIT."""
    size = 0
    with contextlib.suppress(ConnectionResetError):  # it has answered and closed without reading the request
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            chunk = connection.recv(CHUNK)
            if not chunk:
                return
            size += len(chunk)
            if size > LIMIT:
                raise OSError(f"its answer has more than {LIMIT} bytes")
            yield chunk
        raise TimeoutError("timed out")


def send(address: str, packet: bytes) -> None:
    """Send one datagram. Raises OSError if nobody receives it, UnavailableError if `address` is no address."""
    family, target = _parse(address)
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(TIMEOUT)
        connect(connection, target)
        connection.send(packet)


def is_datagram_path(path: str) -> bool:
    """Whether a unix path is a bound datagram socket."""
    try:
        family, target = _parse(path)
        if family != socket.AF_UNIX:
            return False
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connect(connection, target)
    except (OSError, UnavailableError):
        return False
    return True


def open_stream(address: str) -> socket.socket:
    """Begin to connect, without waiting. Raises OSError, and BlockingIOError if a unix socket's backlog is full.

    Raises UnavailableError if `address` is no address, or has a host's name.
    """
    family, target = _numeric(address)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connect(connection, target)
    except BlockingIOError:
        if family == socket.AF_UNIX:  # unlike a TCP connection it is not under way, and has to be tried again
            connection.close()
            raise
    except OSError:
        connection.close()
        raise
    return connection


def accepts(address: str) -> bool:
    """Whether a process listens at a node's address; a full backlog counts. A host's name counts as no listener."""
    try:
        family, target = _numeric(address)
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connect(connection, target)
    except BlockingIOError:
        return True
    except (OSError, UnavailableError):
        return False
    return True
