"""Sends probes to vassals over sockets that never block, and reads the answers at each look."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.site.hung_worker import worker_of
from uwsgi_reload_hook.site.sockets import open_stream
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import probe

__all__ = ["Prober", "Target"]

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """Where a vassal is asked, and how."""

    address: str
    host: str
    """Unless the probe names one."""
    over_http: bool = False
    """False = over the uwsgi protocol."""
    modifiers: tuple[int, int] = (0, 0)


class Prober:
    """The running probes, one for each vassal, and the results."""

    def __init__(self, what: Probe, limit: float) -> None:
        """`limit` is how many seconds a vassal may take to answer."""
        self._what = what
        self._limit = limit
        self._under_way: dict[str, _Exchange] = {}
        self._results: dict[str, ProbeResult] = {}

    def start(self, vassal: str, target: Target) -> None:
        """Start the probe of a vassal, and forget an earlier result. Raises ValueError where no request has room."""
        self.forget(vassal)
        exchange = _Exchange(self._what, target, self._limit)
        if result := exchange.move():  # the request is on its way before the next act
            self._results[vassal] = result
        else:
            self._under_way[vassal] = exchange

    def leave_out(self, vassal: str, host: str, why: str) -> None:
        """Record that no probe could be sent to a vassal: one that was asked for fails, `auto` decides nothing."""
        self.forget(vassal)
        words = f"{_named(self._what, host)} is not sent, because {why}"
        self._results[vassal] = ProbeResult(good=self._what.compares, words=words)

    def hung_worker(self, vassal: str, master: int) -> int | None:
        """The worker that has the unanswered request to a vassal, and no other one; None = none is seen."""
        exchange = self._under_way.get(vassal)
        return exchange.worker(master) if exchange else None

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
    def __init__(self, what: Probe, target: Target, limit: float) -> None:
        self._what = what
        self._target = target
        self._request = probe.request(what, target.host, over_http=target.over_http, modifiers=target.modifiers)
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
            return self._end(_bad(f"is not answered: {error}"))
        if finished:
            return self._end(probe.judge(self._what, bytes(self._answer)))
        if len(self._answer) > probe.LIMIT:
            return self._end(_bad(f"is answered with more than {probe.LIMIT} bytes"))
        if time.monotonic() >= self._deadline:
            return self._end(_bad(f"is not answered in {self._limit:g} s"))
        return None

    def _try(self) -> bool:
        if self._socket is None:
            self._socket = open_stream(self._target.address)
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
        """Close the connection, and name in the result what was asked."""
        self.close()
        asked = f"{_named(self._what, self._target.host)} at {self._target.address}"
        return ProbeResult(result.good, f"{asked} {result.words}", result.status)

    def worker(self, master: int) -> int | None:
        """The worker that has accepted the connection, and no other one."""
        return worker_of(self._socket, master) if self._socket else None

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _named(what: Probe, host: str) -> str:
    return f"GET {what.path} with Host {(what.host or host)[: probe.WORDS]}"


def _bad(words: str) -> ProbeResult:
    return ProbeResult(good=False, words=words)
