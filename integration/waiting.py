"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL = 0.02


def eventually(probe: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """The first true value of `probe`; TimeoutError naming `what` when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what} (last seen: {value!r})")
        time.sleep(POLL)


def observe(probe: Callable[[], T], seconds: float) -> set[T]:
    """Every value that `probe` had during `seconds`: for showing that something does not happen."""
    deadline = time.monotonic() + seconds
    seen = set()
    while time.monotonic() < deadline:
        seen.add(probe())
        time.sleep(POLL)
    return seen
