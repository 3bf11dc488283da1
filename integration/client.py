"""Steady requests through the HTTP front."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from integration.farm import Farm

PAUSE = 0.01


class Answer(NamedTuple):
    """One request: when it started (epoch), how long it took, and what came of it; `status` 0 = no answer at all."""

    key: str
    start: float
    seconds: float
    status: int
    text: str

    @property
    def end(self) -> float:
        return self.start + self.seconds

    @property
    def version(self) -> str:
        return self.text.split()[0]

    @property
    def vassal(self) -> str:
        return self.text.split()[1]


def fetch(port: int, key: str, path: str = "/", host: str = "127.0.0.1") -> Answer:
    start = time.time()
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": key})
        response = connection.getresponse()
        status, text = response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        status, text = 0, repr(error)
    finally:
        connection.close()
    return Answer(key, start, time.time() - start, status, text)


class Client:
    """Requests `path` of each key in turn, from `threads` threads, from entering until `stop`.

    It asks the farm's HTTP front, or whatever else listens on `port` of `host`.
    """

    def __init__(  # noqa: PLR0913 - each argument is one fact of the requests
        self,
        farm: Farm,
        *,
        path: str = "/",
        threads: int = 4,
        keys: Sequence[str] = (),
        port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
        self._port = farm.http_port if port is None else port
        self._path = path
        self._keys = keys or [app.key for app in farm.layout.apps]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Lets the requests under way finish."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        for key in itertools.cycle(self._keys):
            self.answers.append(fetch(self._port, key, self._path, self._host))
            if self._stop.wait(PAUSE):
                return

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]
