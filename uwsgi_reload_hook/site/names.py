"""Config names with quotes or control characters: uWSGI's stats escape neither, so a reader has to know the names."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence

__all__ = ["OddNames"]

_ODD = re.compile(r'["\x00-\x1f]')
LIMIT = 1000
"""Names that are searched for in the stats, at most, so that a user who makes up many does not slow the hook down."""
SETTLED = 2_000_000_000
"""Nanoseconds until a directory's list may be kept: file systems count mtimes in steps of up to two seconds, so that a
younger mtime may stay the same at the next change."""


class OddNames:
    """Lists the odd names in directories, and keeps each list until the directory's mtime changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, tuple[str, ...]]] = {}

    def ids(self, monitors: Sequence[str], cwd: str) -> list[str]:
        """The ids that an Emperor in `cwd` gives such configs: names in a scanned directory, paths of a glob."""
        ids: list[str] = []
        for monitor in monitors:
            if os.path.isdir(os.path.join(cwd, monitor)):  # noqa: PTH112, PTH118 - as the Emperor joins them
                ids.extend(self._names(os.path.join(cwd, monitor)))  # noqa: PTH118
                continue
            for directory in _directories(monitor, cwd):
                names = self._names(os.path.join(cwd, directory))  # noqa: PTH118
                ids.extend(os.path.join(directory, name) for name in names)  # noqa: PTH118
        return ids[:LIMIT]

    def _names(self, directory: str) -> tuple[str, ...]:
        try:
            mtime = os.stat(directory).st_mtime_ns  # noqa: PTH116 - often, and of a text
            known = self._known.get(directory)
            if known is not None and known[0] == mtime:
                return known[1]
            names = tuple(name for name in os.listdir(directory) if _ODD.search(name))  # noqa: PTH208 - names
        except (OSError, ValueError):  # then the layout of the stats has to do
            return ()
        if time.time_ns() - mtime > SETTLED:
            self._known[directory] = mtime, names
        return names


def _directories(pattern: str, cwd: str) -> Iterator[str]:
    """The directories of a glob's files, written as in the paths that the glob gives."""
    directory = os.path.dirname(pattern)  # noqa: PTH120 - as glob(3) leaves it
    yield from glob.glob(directory, root_dir=cwd) if glob.has_magic(directory) else [directory]  # noqa: PTH207
