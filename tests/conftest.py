"""What every test is held to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

ENDS_WITHIN = 2.0
"""Seconds: a thread that has been told to end may take a moment."""


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(ENDS_WITHIN)
    assert not [thread.name for thread in left if thread.is_alive()]
