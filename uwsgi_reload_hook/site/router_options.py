"""What the process of a router was given: its `subscription-tolerance`, and whether it passes subscriptions on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.process_options import of_instance
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.uwsgi.options import Options

__all__ = ["GATEWAYS", "STATS_OPTIONS", "RouterOptions", "judged", "options_of"]

GATEWAYS = ("fastrouter", "http", "rawrouter", "sslrouter")
"""The routers that uWSGI has; the options of each begin with its name."""
DEFAULT_TOLERANCE = "17"
"""uWSGI's default `subscription-tolerance` (core/init.c)."""
_TOLERANCE = "subscription-tolerance"
_RESUBSCRIBE = tuple(f"{gateway}-resubscribe" for gateway in GATEWAYS)
STATS_OPTIONS = tuple(f"{gateway}-{option}" for gateway in GATEWAYS for option in ("stats", "stats-server", "ss"))
"""The options that name a router's stats socket."""
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
    began = _began(pid)
    if began is None:
        return RouterOptions()
    files: list[str] = []

    def read(path: str) -> bytes | None:
        files.append(path)
        return read_bytes(path)

    options, _ = of_instance(pid, read)
    return judged(options, current=not any(_changed_since(path, began) for path in files))


def judged(options: Options, *, current: bool) -> RouterOptions:
    """What the options of a router's process say; `current` = its files are those that it has read."""
    resubscribes: bool | None = bool(options.found(*_RESUBSCRIBE)) or None
    if not current or not any(name in options.names() for name in STATS_OPTIONS):
        return RouterOptions(resubscribes=resubscribes)  # without any such option this is no router's command line
    if options.values(*_RESUBSCRIBE) == []:
        resubscribes = False
    values = options.values(_TOLERANCE)
    if values is None:
        return RouterOptions(resubscribes=resubscribes)
    text = values[-1] if values else DEFAULT_TOLERANCE
    return RouterOptions(float(text) if text.isascii() and text.isdecimal() else None, resubscribes)


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
