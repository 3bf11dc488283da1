"""Reads the trigger's file safely: a user who may write there can neither block the hook nor have it reveal a file.

A FIFO, a device or a lease cannot make the hook wait, because the path is first opened without any effect (`O_PATH`,
open(2)). It is opened for reading only when it is known to be a plain file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from uwsgi_reload_hook.paths import walk

__all__ = ["TriggerState", "read"]

_ANYBODY = -1
"""A uid that stands for all users whom a directory's mode lets write there."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


@dataclass(frozen=True, slots=True)
class TriggerState:
    """One read of the trigger. `status` and `text` are of the same file, even if the path was changed meanwhile."""

    status: os.stat_result | None = None
    """None = no plain file is there."""
    text: bytes = b""
    complaint: str = ""
    """A problem for the log; empty = none."""


def read(path: Path, limit: int) -> TriggerState:
    """Read the mtime, and `limit` bytes of the text at most, at an absolute path; symlinks are followed."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return TriggerState()
    except OSError as error:
        return TriggerState(complaint=f"the trigger {path} cannot be looked at: {error.strerror}")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no plain file")
            return TriggerState(
                complaint=f"the trigger {path} is {kind}, which nobody can touch: put a plain file there"
            )
        if not status.st_size:
            return TriggerState(status)
        return _with_text(path, descriptor, status, limit)
    finally:
        os.close(descriptor)


def _with_text(path: Path, descriptor: int, status: os.stat_result, limit: int) -> TriggerState:
    """Read the text. If it cannot be read, the touch counts without it, so that no touch is lost."""
    try:
        if _may_be_shown(path, descriptor, status):
            return TriggerState(status, _read(descriptor, limit))
        if not os.fstat(descriptor).st_nlink:  # just replaced, so the next look sees the new file
            return TriggerState(status)
    except OSError as error:
        why = f"the text of the trigger {path} cannot be read ({error.strerror}); it counts as a bare touch"
        return TriggerState(status, complaint=why)
    why = (
        f"the text of the trigger {path} is not read, because the file belongs to user {status.st_uid} and another "
        "user decides where that path leads; it counts as a bare touch: put a file there that everybody may read, and "
        "no link"
    )
    return TriggerState(status, complaint=why)


def _read(descriptor: int, limit: int) -> bytes:
    """Read the file of an O_PATH descriptor. Raises OSError, and BlockingIOError while a lease is held on the file."""
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(again, "rb", buffering=0) as file:  # noqa: PTH123 - no path
        chunks = []
        while limit > 0 and (chunk := file.read(limit)):
            chunks.append(chunk)
            limit -= len(chunk)
    return b"".join(chunks)


def _may_be_shown(path: Path, descriptor: int, status: os.stat_result) -> bool:
    """Whether a file's text may go into the status file, which everybody may read.

    Another user who can change the path could point it at a file that he may not read himself. So his links count only
    if they lead to a file of his own.
    """
    ours = {0, os.geteuid()}
    led, others = _way(path, ours)
    if not others or others == {status.st_uid}:
        return True
    straight = str(Path(f"/proc/self/fd/{descriptor}").readlink()) == led and status.st_nlink == 1
    return straight and (status.st_uid not in ours or bool(status.st_mode & stat.S_IROTH))


def _way(path: Path, ours: set[int]) -> tuple[str, set[int]]:
    """Follow a path up to the first entry that others than `ours` can change; the rest is kept as it is written.

    Returns that path, and all other users who can change an entry on the whole way. Raises OSError.
    """
    led, others = str(path), set[int]()
    for step in walk(path):
        deciding = _deciding(os.stat(step.directory), step.status) - ours  # noqa: PTH116 - a Path costs more
        if deciding and not others:
            led = os.path.normpath(os.path.join(step.entry, *step.rest))  # noqa: PTH118 - the same
        others |= deciding
    return led, others


def _deciding(directory: os.stat_result, entry: os.stat_result) -> set[int]:
    """The users who can replace an entry of a directory; in a sticky one, such as /tmp, its owner and the entry's."""
    deciding = {directory.st_uid}
    if directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        deciding.add(entry.st_uid if directory.st_mode & stat.S_ISVTX else _ANYBODY)
    if stat.S_ISLNK(entry.st_mode):
        deciding.add(entry.st_uid)
    return deciding
