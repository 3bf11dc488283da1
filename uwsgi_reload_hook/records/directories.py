"""Opens the file or directory at a path so that no other user can redirect it, and lists who may change a directory.

The hook is usually root, and its files are usually in a directory of the deploy user, who can replace any part of the
path below his own directories at any time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from uwsgi_reload_hook.paths import LINKS
from uwsgi_reload_hook.users import group, user

__all__ = ["OTHERS_WRITE", "UntrustedError", "changeable_by", "existing", "located", "opened"]

FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(OSError):
    """A file or directory is not used, because another user may control it. `strerror` says why: "it is a symlink"."""

    def __init__(self, path: object, reason: str) -> None:
        """`reason` becomes `strerror`."""
        super().__init__(errno.EPERM, reason, str(path))


@contextlib.contextmanager
def opened(path: Path, *, private: bool = False) -> Iterator[int]:
    """Give an O_PATH descriptor of the directory at an absolute path. Raises OSError.

    With `private` the directory must belong to this process's user, and nobody else may write to it.
    """
    with located(path) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if private and status.st_uid != os.geteuid():
            raise UntrustedError(path, f"it belongs to {user(status.st_uid)}")
        if private and status.st_mode & OTHERS_WRITE:
            raise UntrustedError(path, "it can be written to by others")
        yield descriptor


@contextlib.contextmanager
def located(path: Path) -> Iterator[int]:
    """Give an O_PATH descriptor of the file or directory at an absolute path. Raises OSError.

    A symlink of another user is followed only to a file or directory of that user, because it could otherwise redirect
    the caller to any file. So `current`, a link that a deploy user switches between his own releases, works.
    """
    descriptor, followed = _walk(path)
    try:
        owner = os.fstat(descriptor).st_uid
        for name, linker in followed:
            if linker not in {*_trusted(), owner}:
                raise UntrustedError(
                    path, f"it leads through {name}, a symlink of {user(linker)}'s, to what belongs to {user(owner)}"
                )
        yield descriptor
    finally:
        os.close(descriptor)


def _walk(path: Path) -> tuple[int, list[tuple[str, int]]]:
    """Open a path part by part; returns the descriptor, and each symlink that was followed with its owner.

    Each directory is held open while the next name is looked up in it, because another user may replace it meanwhile.
    `paths.walk` holds none open, so that its result may only be judged, and not opened.
    """
    followed: list[tuple[str, int]] = []
    ahead = [*reversed(path.parts)]
    here = os.open("/", FLAGS)
    try:
        while ahead:
            name = ahead.pop()
            there = os.open(name, FLAGS, dir_fd=here)
            try:
                status = os.fstat(there)
                if not stat.S_ISLNK(status.st_mode):
                    here, there = there, here
                    continue
                followed.append((name, status.st_uid))
                if len(followed) > LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                ahead += reversed(Path(os.readlink("", dir_fd=there)).parts)
            finally:
                os.close(there)
    except BaseException:
        os.close(here)
        raise
    return here, followed


def _trusted() -> set[int]:
    """Root, this process's user, and the owner of `/`, because in another user namespace root has that uid."""
    return {0, os.geteuid(), os.stat("/").st_uid}  # noqa: PTH116 - beside os.geteuid


def changeable_by(path: Path) -> list[str]:
    """The users besides root and this process's own who may create, replace and remove files in a directory."""
    with opened(path) as descriptor:
        status = os.fstat(descriptor)
    others = [] if status.st_uid in {0, os.geteuid()} else [user(status.st_uid)]
    if status.st_mode & stat.S_IWGRP:
        others.append(group(status.st_gid))
    if status.st_mode & stat.S_IWOTH:
        others.append("every user")
    return others


def existing(directory: int, name: str, flags: int, owners: Collection[int] | None) -> int:
    """Open a regular file that has one name only and belongs to one of `owners` (None = anybody). Raises OSError.

    Another user who may write to the directory can put a link to any file there. The file is checked before it is
    opened, because to open a device or a pipe has effects, and again afterwards, because nobody can exchange it then.
    """
    _refuse(name, os.stat(name, dir_fd=directory, follow_symlinks=False), owners)
    descriptor = os.open(name, flags | FILE, dir_fd=directory)
    try:
        _refuse(name, os.fstat(descriptor), owners)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse(name: str, status: os.stat_result, owners: Collection[int] | None) -> None:
    """Raise OSError unless it is a regular file that has one name only and belongs to one of `owners`."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if stat.S_ISLNK(status.st_mode):
        raise UntrustedError(name, "it is a symlink")
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedError(name, "it is not a regular file")
    if status.st_nlink > 1:
        raise UntrustedError(name, f"it has {status.st_nlink} hard links")
    if owners is not None and status.st_uid not in owners:
        raise UntrustedError(name, f"it belongs to {user(status.st_uid)}")
