"""The Emperor's protocol, without I/O: each message is one byte, over a pipe that the vassal inherits.

`UWSGI_EMPEROR_FD` is the pipe's descriptor. The pipe ends when the Emperor ends (core/emperor.c).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

__all__ = ["FromVassal", "ToVassal", "decode", "greeting"]


class ToVassal(Enum):
    """A message of the Emperor to a vassal."""

    STOP = 0
    RELOAD = 1
    STOP_GRACEFULLY = 2
    GONE = -1
    """No byte: the pipe has ended."""


class FromVassal(Enum):
    """A message of a vassal to the Emperor. Heartbeats (26) are left out: after one the Emperor demands more."""

    SPAWNED = 1
    ACCEPTING = 5
    LOYAL = 17
    """A vassal that ends without having sent this is blacklisted, so that each restart comes later."""


def decode(data: bytes) -> Iterable[ToVassal]:
    """Decode what one `read` of the pipe has returned; empty data is the pipe's end. Unknown bytes are ignored."""
    if not data:
        yield ToVassal.GONE
    known = {message.value: message for message in ToVassal}
    for byte in data:
        if byte in known:
            yield known[byte]


def greeting() -> bytes:
    """The messages of a vassal that works: the Emperor counts it as started, accepting and loyal."""
    return bytes(message.value for message in (FromVassal.SPAWNED, FromVassal.ACCEPTING, FromVassal.LOYAL))
