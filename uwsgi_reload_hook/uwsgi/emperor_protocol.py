"""The Emperor's protocol, without I/O: one byte is one message, either way, over the pipe that a vassal inherits.

The descriptor's number is in `UWSGI_EMPEROR_FD`; end of file means that the Emperor has gone (core/emperor.c).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

__all__ = ["FromVassal", "ToVassal", "decode", "greeting"]


class ToVassal(Enum):
    """What the Emperor tells a vassal."""

    STOP = 0
    RELOAD = 1
    STOP_GRACEFULLY = 2
    GONE = -1
    """No byte: the pipe has ended."""


class FromVassal(Enum):
    """What a vassal tells the Emperor. A heartbeat (26) is not among it: after the first the Emperor demands more."""

    SPAWNED = 1
    ACCEPTING = 5
    LOYAL = 17
    """Without it a vassal that ends is blacklisted, and started again later and later."""


def decode(data: bytes) -> Iterable[ToVassal]:
    """Read what one `read` of the pipe returned; nothing at all is its end. Unknown bytes are passed over."""
    if not data:
        yield ToVassal.GONE
    known = {message.value: message for message in ToVassal}
    for byte in data:
        if byte in known:
            yield known[byte]


def greeting() -> bytes:
    """What a vassal says when it works: the Emperor then counts it as started, accepting and loyal."""
    return bytes(message.value for message in (FromVassal.SPAWNED, FromVassal.ACCEPTING, FromVassal.LOYAL))
