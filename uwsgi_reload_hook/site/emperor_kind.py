"""Which Emperors, and which of their vassals, a touch cannot reload: told by the Emperor's stats."""

from __future__ import annotations

import re

from uwsgi_reload_hook.uwsgi.stats import EmperorStats

__all__ = ["has_files", "problem"]

_RELOADS_NOTHING = re.compile(r"2\.0\.27(?![0-9])")
"""The version whose masters do not end at a reload (unbit/uwsgi, issues 2681 and 2688); 2.0.28 does."""


def has_files(monitor: str) -> bool:
    """Whether an imperial monitor takes its vassals from files, as a directory or a glob does.

    Any other is named by its scheme, such as `zmq://`, `pg://`, `amqp://` and `mongodb://` (core/emperor.c).
    """
    return "://" not in monitor


def problem(emperor_stats: EmperorStats) -> str:
    """Why no vassal of an Emperor can be reloaded by a touch, in words; empty = they can."""
    if _RELOADS_NOTHING.match(emperor_stats.version):
        return (
            f"the Emperor runs uWSGI {emperor_stats.version}, which does not reload a vassal whose config is touched: "
            "install uWSGI 2.0.28 or newer, and restart the Emperor"
        )
    if emperor_stats.monitors and not any(map(has_files, emperor_stats.monitors)):
        return (
            f"the Emperor has its vassals from {', '.join(emperor_stats.monitors)}, where no config is a file that a "
            "touch could reload: roll them by that monitor's own messages, or use an Emperor that scans a directory"
        )
    return ""
