"""What the process of a router was given: its `subscription-tolerance`, and whether it passes subscriptions on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.vassal_config import read_text
from uwsgi_reload_hook.uwsgi import ini
from uwsgi_reload_hook.uwsgi.known_options import known_options

__all__ = ["GATEWAYS", "RouterOptions", "options_of"]

GATEWAYS = ("fastrouter", "http", "rawrouter", "sslrouter")
"""The routers that uWSGI has; the options of each begin with its name."""
DEFAULT_TOLERANCE = 17.0
"""uWSGI's default `subscription-tolerance` (core/init.c)."""
_TOLERANCE = "subscription-tolerance"
_RESUBSCRIBE = tuple(f"{gateway}-resubscribe" for gateway in GATEWAYS)
_STATS = tuple(f"{gateway}-{option}" for gateway in GATEWAYS for option in ("stats", "stats-server", "ss"))
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """The options of one router, as far as they are known."""

    tolerance: float | None = None
    """Seconds after which it takes a silent node for dead; None = not known."""
    resubscribes: bool | None = None
    """Whether it passes each packet on to an outer router, with its own address for the node's; None = not known."""


def options_of(pid: int) -> RouterOptions:
    """The options of the router's process `pid`, by its command line and the files named there.

    A file that was changed since the start of the process describes the next one, so nothing is known then.
    """
    environment, began = processes.environment(pid), _began(pid)
    if environment is None or began is None:
        return RouterOptions()
    files: list[str] = []

    def read(path: str) -> str | None:
        files.append(path)
        return read_text(path)

    moved = None if "UWSGI_EMPEROR_FD" in environment else environment.get("PWD")
    directory = moved or processes.working_directory(pid) or "/"
    arguments = processes.command_line(pid)
    options = known_options(arguments, directory, environment, read, {_TOLERANCE, *_RESUBSCRIBE})
    if options is None or any(_changed_since(path, began) for path in files):
        found = ini.options(arguments, directory, environment, read_text)
        return RouterOptions(resubscribes=any(name in found for name in _RESUBSCRIBE) or None)
    if not any(name in options for name in _STATS):  # its stats were read, so this is not its command line
        return RouterOptions()
    text = options.get(_TOLERANCE, [str(int(DEFAULT_TOLERANCE))])[-1]
    tolerance = float(text) if text.isascii() and text.isdecimal() else None
    return RouterOptions(tolerance, any(name in options for name in _RESUBSCRIBE))


def _began(pid: int) -> float | None:
    """When a process was started, on the wall clock as that stands now."""
    ticks = processes.started(pid)
    if ticks is None:
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + (ticks + 1) * _TICK


def _changed_since(path: str, moment: float) -> bool:
    """Whether a file was changed since; its ctime counts, because an mtime can be set."""
    try:
        return os.stat(path).st_ctime > moment  # noqa: PTH116 - as text, beside the others
    except OSError:
        return True
