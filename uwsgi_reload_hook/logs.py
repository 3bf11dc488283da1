"""Where the package's log goes, and what its lines look like."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from types import TracebackType
from typing import TextIO

from uwsgi_reload_hook.printable import printable

__all__ = ["LineFormatter", "Seen", "log_to"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """Formats a message as one line, whatever its arguments hold; a traceback keeps its line breaks.

    It is indented, so that no line break in an exception's text can forge a line of the log.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s [uwsgi-reload-hook] %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Make the line of the message."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        """Make the lines of an exception."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """Make the lines of a stack."""
        return _indented(stack_info)


def _indented(text: str) -> str:
    return "\n".join(f"  {printable(line)}" for line in text.split("\n"))


def log_to(stream: TextIO, *, quiet: bool = False) -> None:
    """Send the package's log to `stream`: a vassal's standard error is the Emperor's log."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    package = logging.getLogger("uwsgi_reload_hook")
    package.handlers[:] = [handler]
    package.propagate = False
    package.setLevel(logging.WARNING if quiet else logging.INFO)


class Seen:
    """The things that were warned about, so that each warning is logged once."""

    def __init__(self, limit: int) -> None:
        """After `limit` different things nothing is new, so that a stranger who invents more cannot fill the disk."""
        self._limit = limit
        self._things: set[Hashable] = set()

    def is_new(self, thing: Hashable) -> bool:
        """Whether a thing is seen for the first time."""
        if thing in self._things or len(self._things) >= self._limit:
            return False
        self._things.add(thing)
        return True

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return len(self._things) >= self._limit
