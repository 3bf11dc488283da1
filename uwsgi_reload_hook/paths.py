"""The entries, symlinks included, through which an absolute path leads."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

__all__ = ["LINKS", "Step", "walk"]

LINKS = 40
"""Symlinks in one path after which it counts as a loop: the kernel's own limit (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a directory through which a path leads."""

    directory: str
    """The directory that has the entry, without any symlink in its path."""
    entry: str
    status: os.stat_result
    """Of the entry itself, symlink or not."""
    rest: Sequence[str]
    """The names that follow in the path."""

    @property
    def is_link(self) -> bool:
        """Whether the entry is a symlink."""
        return stat.S_ISLNK(self.status.st_mode)


def walk(path: str | PurePath) -> Iterator[Step]:
    """Follow an absolute path entry by entry, without opening any. Raises OSError.

    Another user may replace an entry meanwhile, so the caller may judge the entries, and open nothing by them.
    """
    directory, names, links = "/", [*PurePath(path).parts[1:]], 0
    while names:
        name = names.pop(0)
        entry = os.path.join(directory, name)  # noqa: PTH118 - a Path costs more
        step = Step(directory, entry, os.lstat(entry), tuple(names))
        yield step
        if step.is_link:
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = PurePath(os.readlink(entry))  # noqa: PTH115 - the same
            directory = "/" if target.is_absolute() else directory
            names[:0] = target.parts[target.is_absolute() :]
        else:
            directory = os.path.dirname(directory) if name == ".." else entry  # noqa: PTH120 - the same
