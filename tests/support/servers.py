"""Little unix socket servers: real ones, in a thread that ends with the `with` block."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["Handler", "answers", "listens", "serves"]

PATIENCE = 10.0
"""Seconds after which a server that is waited for in vain fails its test."""

Handler = Callable[[socket.socket], None]


@contextlib.contextmanager
def listens(path: Path, backlog: int = 8) -> Iterator[socket.socket]:
    """Listen, and accept nothing by itself."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(str(path))
        listener.listen(backlog)
        yield listener


@contextlib.contextmanager
def serves(path: Path, *handlers: Handler) -> Iterator[None]:
    """Give the first connection to the first handler, the second to the second, and so on; each is closed after it."""

    def accept(listener: socket.socket) -> None:
        for handler in handlers:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                handler(connection)

    with listens(path) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            thread.join()


def answers(text: str | bytes) -> Handler:
    """Say this at once, unasked, as a stats socket does."""
    return lambda connection: connection.sendall(text.encode() if isinstance(text, str) else text)
