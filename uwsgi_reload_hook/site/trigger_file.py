"""The trigger's file, looked at so that whoever may write it can neither hold the hook nor have it show another's file.

A FIFO, a device or a lease never makes the hook wait, because the file is opened by its name without any effect
(`O_PATH`, open(2)), and for reading only once it is known to be a plain one.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.paths import walk

__all__ = ["Sight", "look"]

_ANYBODY = -1
"""Stands for whoever a directory's mode lets write there."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """The trigger at one moment; `status` and `text` are of the same file, whatever becomes of its name meanwhile."""

    status: os.stat_result | None = None
    """None = there is no plain file."""
    text: bytes = b""
    complaint: str = ""
    """What an operator should know of it; empty = nothing."""


def look(path: Path, limit: int) -> Sight:
    """Look at the absolute `path`, through symlinks too, and read at most `limit` bytes of its text."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return Sight()
    except OSError as error:
        return Sight(complaint=f"the trigger {path} cannot be looked at: {error.strerror}")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no plain file")
            return Sight(complaint=f"the trigger {path} is {kind}, which nobody can touch: put a plain file there")
        if not status.st_size:
            return Sight(status)
        return _with_text(path, descriptor, status, limit)
    finally:
        os.close(descriptor)


def _with_text(path: Path, descriptor: int, status: os.stat_result, limit: int) -> Sight:
    """Read the text. One that cannot be read leaves a bare touch: the touch itself must not be lost."""
    try:
        if _may_be_shown(path, descriptor, status):
            return Sight(status, _read(descriptor, limit))
        if not os.fstat(descriptor).st_nlink:  # replaced at this moment: the next look sees what came after it
            return Sight(status)
    except OSError as error:
        why = f"the text of the trigger {path} cannot be read ({error.strerror}); it counts as a bare touch"
        return Sight(status, complaint=why)
    why = (
        f"the text of the trigger {path} is not read, because the file belongs to user {status.st_uid} and another "
        "user decides where that path leads; it counts as a bare touch: put a file there that everybody may read, and "
        "no link"
    )
    return Sight(status, complaint=why)


def _read(descriptor: int, limit: int) -> bytes:
    """Read the very file that `descriptor` stands for. Raises OSError, BlockingIOError where a lease is held on it."""
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(again, "rb", buffering=0) as file:  # noqa: PTH123 - no path
        chunks = []
        while limit > 0 and (chunk := file.read(limit)):
            chunks.append(chunk)
            limit -= len(chunk)
    return b"".join(chunks)


def _may_be_shown(path: Path, descriptor: int, status: os.stat_result) -> bool:
    """Whether what a file says may go into the status, which everybody may read.

    Another user who decides where the path leads must not have the hook read for him what he may not read himself. So
    no link of his is followed, but to a file of his own.
    """
    ours = {0, os.geteuid()}
    led, others = _way(path, ours)
    if not others or others == {status.st_uid}:
        return True
    straight = str(Path(f"/proc/self/fd/{descriptor}").readlink()) == led and status.st_nlink == 1
    return straight and (status.st_uid not in ours or bool(status.st_mode & stat.S_IROTH))


def _way(path: Path, ours: set[int]) -> tuple[str, set[int]]:
    """Where a path leads as far as `ours` alone decide, with the rest as written; and the others who decide.

    Raises OSError.
    """
    led, others = str(path), set[int]()
    for step in walk(path):
        deciding = _deciding(os.stat(step.directory), step.status) - ours  # noqa: PTH116 - a Path costs more
        if deciding and not others:
            led = os.path.normpath(os.path.join(step.entry, *step.rest))  # noqa: PTH118 - the same
        others |= deciding
    return led, others


def _deciding(directory: os.stat_result, entry: os.stat_result) -> set[int]:
    """Who decides what an entry of a directory is. In a sticky one, as /tmp is, only its owner and the entry's do."""
    deciding = {directory.st_uid}
    if directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        deciding.add(entry.st_uid if directory.st_mode & stat.S_ISVTX else _ANYBODY)
    if stat.S_ISLNK(entry.st_mode):
        deciding.add(entry.st_uid)
    return deciding
