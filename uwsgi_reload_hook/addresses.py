"""Addresses as uWSGI writes them: the path of a unix socket, `@name` for an abstract one, or host:port."""

from __future__ import annotations

__all__ = ["FORMS", "abstract", "host_and_port", "is_unix"]

FORMS = "the path of a unix socket, or host:port"
"""What an address may be, for an operator."""
LAST_PORT = 65535


def host_and_port(address: str) -> tuple[str, int] | None:
    """Split a TCP or UDP address, which differs from a path by its colon; None = a path. Raises ValueError."""
    if ":" not in address or address.startswith("/"):
        return None
    host, _, port = address.rpartition(":")
    plain = port.isascii() and port.isdecimal() and len(port) <= len(str(LAST_PORT))
    if not plain or int(port) > LAST_PORT:
        raise ValueError(FORMS)
    return host, int(port)


def abstract(address: str) -> str:
    """Write an abstract address as `@name`, which uWSGI also writes with a backslash and a zero; others stay."""
    return f"@{address[2:]}" if address.startswith("\\0") else address


def is_unix(address: str) -> bool:
    """Whether this is an absolute path, or the name of an abstract socket."""
    return address.startswith(("/", "@", "\\0"))
