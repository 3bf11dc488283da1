"""Whether a vassal announces itself to the routers, and how often: by the options of its process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from uwsgi_reload_hook.site.process_options import vassal_start
from uwsgi_reload_hook.site.subscriptions import changed_since
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.options import Options
from uwsgi_reload_hook.uwsgi.stats import VassalStats

__all__ = ["Habit", "Habits", "habit_of", "read_habit"]

BLOCKED = "start-unsubscribed"
FREQUENCY = "subscribe-freq"
DEFAULT_FREQUENCY = 10
"""Cycles of a master, of about a second each, between two announcements (core/init.c)."""
RESERVE = 1.2
"""Cycles take somewhat longer than a second on a busy host."""
_SURE_ORDER = "spinningfifo:"
"""The hook that waits until the master has opened its FIFO; `writefifo` does not, and loses what it writes."""


class Habit(NamedTuple):
    """How a vassal announces itself."""

    by_itself: bool | None = None
    """False where it has to be told to by an order that may be lost; None = not known."""
    wait: float = DEFAULT_FREQUENCY * RESERVE
    """Seconds in which an announcement comes, if it comes at all."""


def habit_of(options: Options) -> Habit:
    """The habit of a vassal with these options."""
    values = options.values(FREQUENCY)
    text = values[-1] if values else ""
    frequency = int(text) if text.isascii() and text.isdecimal() and len(text) < len("1000000") else DEFAULT_FREQUENCY
    hooks = [name for name in options.names() if name.startswith("hook-")]
    told = any(value.startswith(_SURE_ORDER) and value.endswith(" S") for value in options.values(*hooks) or ())
    blocked = options.is_on(BLOCKED)
    by_itself = True if told else None if blocked is None else not blocked
    return Habit(by_itself, max(frequency, 1) * RESERVE)


def read_habit(entry: VassalStats, path: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Habit:
    """The habit of a running vassal, whose config is at `path`; `arguments` and `environment` are its master's.

    A config that was changed since the vassal's start describes the next one, so nothing is known then.
    """
    start = vassal_start(entry.pid, path, arguments, environment)
    if start is None or "UWSGI_EMPEROR_FD" not in environment:
        return Habit()
    files: list[str] = []

    def read(file: str) -> bytes | None:
        files.append(file)
        return read_bytes(file)

    options = read_options(replace(start, read=read))
    if any(changed_since(file, entry.last_run) for file in files):
        return Habit()
    return habit_of(options)


class Habits:
    """Keeps the habit of each vassal until its next start, because each look asks for it."""

    def __init__(self, read: Callable[[VassalStats], Habit]) -> None:
        """`read` gives the habit of a vassal now."""
        self._read = read
        self._known: dict[str, tuple[tuple[int, int], Habit]] = {}

    def of(self, entry: VassalStats) -> Habit:
        """The habit of a vassal that runs."""
        process = entry.pid, entry.last_run
        known = self._known.get(entry.id)
        if known is None or known[0] != process:
            known = self._known[entry.id] = process, self._read(entry)
        return known[1]
