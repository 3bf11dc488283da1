"""Ends a wait at Ctrl-C, or at the SIGTERM of a CI job that is cancelled, without a traceback."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

__all__ = ["InterruptedBySignal", "interruptible"]


class InterruptedBySignal(Exception):  # noqa: N818 - no error: somebody wants this command to end
    """A signal asks the command to end."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise InterruptedBySignal at a signal that ends commands; one that is ignored, as under nohup, stays so."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] is not signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise InterruptedBySignal(signal.Signals(number).name)
