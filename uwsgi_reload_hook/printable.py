"""Escapes text of other people for a log or a terminal.

Ids, keys, addresses and reasons come from configs, packets and requests. A line break in one of them would forge a
line of a log, an escape sequence would move a terminal's cursor, and a bidirectional override would turn a line around.
"""

from __future__ import annotations

from typing import TextIO

__all__ = ["printable", "write_line"]


def printable(text: str) -> str:
    r"""Escape each character that cannot be printed as Python does: `\x1b`, `\n`, `\u202e`; all others stay.

    Bytes that are not UTF-8 come out as `\udcff`, because uWSGI's text is decoded with surrogates for them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def write_line(stream: TextIO, text: str) -> None:
    """Write one line, whatever is in `text`, and flush it, because the stream may be a pipe."""
    stream.write(f"{printable(text)}\n")
    stream.flush()
