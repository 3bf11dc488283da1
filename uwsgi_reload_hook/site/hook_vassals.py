"""Tells the vassals that are hooks from those that are applications: one that stands by is a hook too."""

from __future__ import annotations

import os
import re
import stat

from uwsgi_reload_hook.site.vassal_config import LONGEST, open_as
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["HookVassals", "is_hook_config"]

_HOOK = re.compile(
    r"""^(?![ \t]*[;\#]).*
    ( \breload-hook-trigger\b                       # of whichever home, as a key or a placeholder
    | \buwsgi_reload_hook\.mule\b                   # mule = …, import = …
    | \buwsgi[_-]reload[_-]hook[ ]+vassal\b         # the command of a Python vassal
    )""",
    re.MULTILINE | re.VERBOSE,
)


def is_hook_config(text: str) -> bool:
    """Whether a config, of any format, starts a hook, with whatever mistakes in its options."""
    return _HOOK.search(text) is not None


class HookVassals:
    """Remembers of each vassal whether the config that it was started with makes it a hook."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], bool]] = {}

    def exclusion(self, entry: stats.VassalStats, path: str) -> str:
        """Why a vassal is left alone, empty = its config makes it no hook. Each start is looked at once."""
        start = (entry.pid, entry.last_run)
        known = self._known.get(entry.id)
        if known is None or known[0] != start:
            known = self._known[entry.id] = start, is_hook_config(_text(path))
        return "a hook's vassal" if known[1] else ""


def _text(path: str) -> str:
    """The text of a regular file, empty if it cannot be read: then nothing is known but that it is a vassal."""
    try:
        with open(open_as(path, lambda status: stat.S_ISREG(status.st_mode), os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor
            return os.fsdecode(file.read(LONGEST))
    except OSError:
        return ""
