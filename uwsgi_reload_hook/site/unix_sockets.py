"""Connects to unix sockets, those with uWSGI's abstract names too.

uWSGI binds `@name` with one byte more than the name (core/socket.c, bind_to_unix), so that the kernel's name ends in a
NUL; other programs, and uWSGI under its option abstract-socket, bind the name alone.
"""

from __future__ import annotations

import socket

from uwsgi_reload_hook.addresses import abstract

__all__ = ["connect", "target_of", "written"]


def target_of(address: str) -> str:
    """What `connect` takes for a unix address. An address that begins with a NUL is the kernel's name itself."""
    address = abstract(address)
    return f"\0{address[1:]}\0" if address.startswith("@") else address


def connect(connection: socket.socket, target: str | tuple[str, int]) -> None:
    """Connect a socket. An abstract name that nobody has bound as uWSGI does is tried without the last NUL.

    Raises OSError.
    """
    try:
        connection.connect(target)
    except ConnectionRefusedError:
        if not (isinstance(target, str) and target.startswith("\0") and target.endswith("\0")):
            raise
        connection.connect(target[:-1])


def written(name: str) -> str:
    """Write the kernel's name of a unix socket as an address, with `@` for each NUL but the last one of uWSGI's."""
    plain = name[:-1] if len(name) > 1 and name.endswith("\0") else name
    return plain.replace("\0", "@")
