"""A stats socket in front of a stats socket, which counts its readers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from integration import stats

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class CountingProxy:
    """Listens on `path`, answers with what `upstream` says; `count` is the number of connections so far."""

    def __init__(self, upstream: Path, path: Path) -> None:
        self.path = path
        self.count = 0
        self._upstream = upstream
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            # A reader that has gone away is none of our business.
            with connection, suppress(OSError):
                connection.sendall(stats.read_text(self._upstream).encode())
