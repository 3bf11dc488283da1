"""Sends probes to vassals over sockets that never block, and reads the answers at each look."""

from __future__ import annotations

import socket
import time

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.site.sockets import open_stream
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import probe

__all__ = ["Prober"]

CHUNK = 1 << 16


class Prober:
    """The running probes, one for each vassal, and the results."""

    def __init__(self, what: Probe, limit: float) -> None:
        """`limit` is how many seconds a vassal may take to answer."""
        self._what = what
        self._limit = limit
        self._under_way: dict[str, _Exchange] = {}
        self._results: dict[str, ProbeResult] = {}

    def start(self, vassal: str, address: str, host: str, *, over_http: bool) -> None:
        """Start the probe of a vassal, and forget an earlier result."""
        self.forget(vassal)
        self._under_way[vassal] = _Exchange(self._what, address, host, over_http=over_http, limit=self._limit)

    def fail(self, vassal: str, words: str) -> None:
        """Record that no probe could be sent to a vassal."""
        self._results[vassal] = ProbeResult(good=False, words=words)

    def forget(self, vassal: str) -> None:
        """Cancel the probe of a vassal, and drop its result."""
        self._results.pop(vassal, None)
        if exchange := self._under_way.pop(vassal, None):
            exchange.close()

    def results(self) -> dict[str, ProbeResult]:
        """Go on with all probes, and return the results so far."""
        for vassal, exchange in list(self._under_way.items()):
            if result := exchange.move():
                self._results[vassal] = result
                del self._under_way[vassal]
        return dict(self._results)

    def close(self) -> None:
        """Cancel the running probes."""
        for vassal in list(self._under_way):
            self.forget(vassal)


class _Exchange:
    def __init__(self, what: Probe, address: str, host: str, *, over_http: bool, limit: float) -> None:
        self._what = what
        self._address = address
        self._request = probe.request(what, host, over_http=over_http)
        self._answer = bytearray()
        self._deadline = time.monotonic() + limit
        self._limit = limit
        self._socket: socket.socket | None = None

    def move(self) -> ProbeResult | None:
        """Write and read as much as is possible without waiting; returns the result when the probe is over."""
        try:
            finished = self._try()
        except (BlockingIOError, InterruptedError):
            finished = False
        except (OSError, UnavailableError) as error:
            return self._end(ProbeResult(good=False, words=f"{self._address}: {error}"))
        if finished:
            return self._end(probe.judge(self._what, bytes(self._answer)))
        if len(self._answer) > probe.LIMIT:
            return self._end(ProbeResult(good=False, words=f"the answer has more than {probe.LIMIT} bytes"))
        if time.monotonic() >= self._deadline:
            return self._end(ProbeResult(good=False, words=f"{self._what.path}: no answer in {self._limit:g} s"))
        return None

    def _try(self) -> bool:
        if self._socket is None:
            self._socket = open_stream(self._address)
        while self._request:
            sent = self._socket.send(self._request)
            self._request = self._request[sent:]
        while len(self._answer) <= probe.LIMIT:
            chunk = self._socket.recv(CHUNK)
            if not chunk:
                return True
            self._answer += chunk
        return False

    def _end(self, result: ProbeResult) -> ProbeResult:
        self.close()
        return result

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
