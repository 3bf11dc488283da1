"""Steady requests through the HTTP front while the vassals roll, and their outcome."""

from __future__ import annotations

import http.client
import threading
import time

PAUSE = 0.02
TIMEOUT = 30


class Client:
    """A few threads that each make one request after the other, each on a new connection."""

    def __init__(self, port: int, *, threads: int = 3) -> None:
        self.made = 0
        self.failures: list[str] = []
        self.slowest = 0.0
        """Seconds."""
        self._port = port
        self._bodies: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    @property
    def bodies(self) -> frozenset[str]:
        """The different answers since the start, or since `forget()`."""
        with self._lock:
            return frozenset(self._bodies)

    def forget(self) -> None:
        """Empty `bodies`; the numbers stay."""
        with self._lock:
            self._bodies.clear()

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make no further request, and wait for those in flight."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        while not self._stop.wait(PAUSE):
            started = time.monotonic()
            try:
                body, failure = self._request(), ""
            except (OSError, http.client.HTTPException) as error:
                body, failure = "", f"{type(error).__name__}: {error}"
            self._record(body, failure, time.monotonic() - started)

    def _request(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
            if answer.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(f"status {answer.status}: {text[:200]}")
            return text
        finally:
            connection.close()

    def _record(self, body: str, failure: str, seconds: float) -> None:
        with self._lock:
            self.made += 1
            self.slowest = max(self.slowest, seconds)
            if failure:
                self.failures.append(failure)
            else:
                self._bodies.add(body)
