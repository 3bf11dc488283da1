"""Opens what lies at a path so that no other user can lead the caller elsewhere, and tells who may change a directory.

The hook is usually root, and its files usually lie in a directory of the deploy user, who can replace any part of the
path below his own directories at any moment.
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
    """What lies at a path may be another user's trap. `strerror` says why: "it is a symlink"."""

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
    """Give an O_PATH descriptor of whatever lies at an absolute path. Raises OSError.

    A symlink that belongs to another user is followed only to something of that same user, because he could lead the
    caller anywhere else by it. So `current`, a link that a deploy user switches between his own releases, works.
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

    Each directory is held open while the next name is looked up in it, because another user may replace any of them
    meanwhile. `paths.walk` goes by the names alone, so that it can only judge.
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
    """Root, this process's user, and the owner of `/`, which is what root looks like in another user namespace."""
    return {0, os.geteuid(), os.stat("/").st_uid}  # noqa: PTH116 - beside os.geteuid


def changeable_by(path: Path) -> list[str]:
    """Those besides root and this process's user who may create, replace and remove files in a directory."""
    with opened(path) as descriptor:
        status = os.fstat(descriptor)
    others = [] if status.st_uid in {0, os.geteuid()} else [user(status.st_uid)]
    if status.st_mode & stat.S_IWGRP:
        others.append(group(status.st_gid))
    if status.st_mode & stat.S_IWOTH:
        others.append("every user")
    return others


def existing(directory: int, name: str, flags: int, owners: Collection[int] | None) -> int:
    """Open a regular file under one name alone, of one of the `owners` (None = of whoever). Raises OSError.

    Whoever may write to the directory can have put a link there, to any file of anybody. The look before is because to
    open may be an act; what counts is the look after that, because the file cannot be exchanged any more.
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
    """Raise OSError for what is no regular file under one name alone, or does not belong to one of the `owners`."""
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
