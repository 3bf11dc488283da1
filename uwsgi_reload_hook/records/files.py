"""The only module of the package that creates, writes, renames or removes files.

Every act takes place inside one directory, opened anew by descriptor (directories.py), so that a directory that was
removed and made again is found, and no link in it leads to a file elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TextIO

from uwsgi_reload_hook.records.directories import OTHERS_WRITE, UntrustedError, existing, located, opened
from uwsgi_reload_hook.users import user

__all__ = ["Directory", "log_stream", "make_private"]

EVERYBODY = 0o666
"""The mode that `touch` gives a new file; the umask takes its part of it."""
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """The files of one directory, by their names in it. Every method raises OSError."""

    def __init__(self, path: Path, *, private: bool = False) -> None:
        """With `private` nothing is read or written while another user may write to the directory."""
        self.path = path.absolute()
        self._private = private

    def _opened(self) -> contextlib.AbstractContextManager[int]:
        return opened(self.path, private=self._private)

    def check(self) -> None:
        """Open it, and do nothing."""
        with self._opened():
            pass

    def replace(self, name: str, text: str, mode: int) -> None:
        """Write a file beside and rename it, so that a reader never sees half of one; its mode ignores the umask.

        No fsync: the hook's files only matter while the vassals run, and a power cut ends those too.
        """
        beside = f".uwsgi-reload-hook.{secrets.token_hex(8)}"
        with self._opened() as directory, _new(directory, beside, text, mode):
            os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)

    def create(self, name: str, text: str = "", mode: int | None = None) -> None:
        """Write a file that does not exist yet; without a `mode` it gets the one that `touch` would give it."""
        with self._opened() as directory, _new(directory, name, text, mode):
            pass

    def append(self, name: str, text: str, mode: int) -> None:
        """Add to a file of this process's user, or begin it. What cannot be added whole is not added at all."""
        with self._opened() as directory, _appendable(directory, name, mode, {os.geteuid()}) as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                _write(descriptor, text.encode())
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
            if os.fstat(descriptor).st_mode & OTHERS_WRITE:
                os.fchmod(descriptor, mode)

    def read(self, name: str, limit: int, *, offset: int = 0, anybodys: bool = False) -> bytes:
        """Read a file of at most `limit` bytes, from `offset` on.

        Its content is this process's user's or root's own, unless `anybodys` says that the caller trusts it in nothing.
        """
        with self._opened() as directory:
            descriptor = existing(directory, name, os.O_RDONLY, None if anybodys else {0, os.geteuid()})
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            if not anybodys and os.fstat(descriptor).st_mode & OTHERS_WRITE:
                raise UntrustedError(self.path / name, "it can be written to by others")
            file.seek(offset)
            content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(self.path / name))
        return content

    def size(self, name: str) -> int:
        """The bytes of a file; 0 where there is no regular file."""
        with contextlib.suppress(OSError), self._opened() as directory:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            return status.st_size if stat.S_ISREG(status.st_mode) else 0
        return 0

    def remove(self, name: str) -> None:
        """Remove a file, or the link that lies in its place; that there is none is as good."""
        with self._opened() as directory, contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)

    def set_aside(self, name: str, new_name: str) -> None:
        """Rename a file, whatever it is. What had the new name is gone."""
        with self._opened() as directory:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=directory)
            with contextlib.suppress(FileNotFoundError):  # rename(2) leaves both names of one file as they are
                os.unlink(name, dir_fd=directory)

    def link(self, name: str, target: str) -> None:
        """Make a symlink that does not exist yet."""
        with self._opened() as directory:
            os.symlink(target, name, dir_fd=directory)

    def touch(self, name: str) -> int:
        """Set a file's mtime to now, or make an empty one; returns the mtime in ns. No content changes.

        Through a symlink its target is touched.
        """
        with self._opened() as directory:
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                with _new(directory, name, "", None):
                    return _mtime(directory, name)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path / name))
            if status.st_nlink > 1 and status.st_uid != os.fstat(directory).st_uid:
                raise UntrustedError(self.path / name, f"it is a hard link to a file of {user(status.st_uid)}'s")
            if stat.S_ISLNK(status.st_mode):
                return self._touch_target(name, os.readlink(name, dir_fd=directory))
            _set_now(name, dir_fd=directory, follow_symlinks=False)
            return _mtime(directory, name)

    def _touch_target(self, name: str, target: str) -> int:
        try:
            with located(self.path / name) as descriptor:
                _set_now(f"/proc/self/fd/{descriptor}")  # utime takes no O_PATH descriptor (utimensat(2))
                return os.fstat(descriptor).st_mtime_ns
        except FileNotFoundError as error:
            raise UntrustedError(self.path / name, f"it is a symlink to {target}, which does not exist") from error

    def rewrite(self, name: str, text: str, replaceable: Callable[[bytes], bool], limit: int) -> int:
        """Put text in the place of content that is `replaceable`, of at most `limit` bytes, or make the file.

        The file stays the same one, with its owner and mode. Returns its mtime in ns, which is now.
        """
        with self._opened() as directory:
            try:
                descriptor = existing(directory, name, os.O_RDWR, None)
            except FileNotFoundError:
                with _new(directory, name, text, None):
                    return _mtime(directory, name)
            try:
                content = os.pread(descriptor, limit + 1, 0)
                if len(content) > limit or not replaceable(content):
                    raise UntrustedError(self.path / name, "it has other content, which is kept")
                _exchange(descriptor, content, text.encode(errors="surrogateescape"))
                _set_now(descriptor)
                return os.fstat(descriptor).st_mtime_ns
            finally:
                os.close(descriptor)


def make_private(path: Path) -> None:
    """Make a directory, and those above it that do not exist, for this user alone. Raises OSError."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        with opened(one.parent) as above, contextlib.suppress(FileExistsError):
            os.mkdir(one.name, 0o700, dir_fd=above)


def log_stream(path: Path) -> TextIO:
    """Open a log to add lines to: a file of this process's user or of root, or a new one. Raises OSError."""
    owners = {0, os.geteuid()}
    with opened(path.absolute().parent) as above, _appendable(above, path.name, 0o644, owners) as descriptor:
        return open(os.dup(descriptor), "a", buffering=1)  # noqa: PTH123 - a descriptor, the caller's


@contextlib.contextmanager
def _appendable(directory: int, name: str, mode: int, owners: Collection[int]) -> Iterator[int]:
    """A descriptor at the end of a file; one that is new gets the mode."""
    try:
        descriptor = existing(directory, name, os.O_WRONLY | os.O_APPEND, owners)
    except FileNotFoundError:
        descriptor = os.open(name, NEW | os.O_APPEND, 0o600, dir_fd=directory)
        os.fchmod(descriptor, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _new(directory: int, name: str, text: str, mode: int | None) -> Iterator[None]:
    """Make a file that does not exist, for the time of the block; it stays if nothing fails.

    Its mode ignores the umask; None = the one that `touch` would give it, and root's belongs to the directory's owner.
    """
    descriptor = os.open(name, NEW, EVERYBODY if mode is None else 0o600, dir_fd=directory)
    try:
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            elif os.geteuid() == 0:  # else root's first touch of a trigger would lock out whoever deploys
                os.fchown(descriptor, os.fstat(directory).st_uid, -1)
            _write(descriptor, text.encode(errors="surrogateescape"))
        finally:
            os.close(descriptor)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
        raise


def _mtime(directory: int, name: str) -> int:
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _exchange(descriptor: int, old: bytes, new: bytes) -> None:
    """Exchange a small file's content so that a reader never sees less than the new one, only blank lines after it.

    Where the new content has no room, the old one is put back.
    """
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        _write(descriptor, new.ljust(len(old), b"\n"))
        os.ftruncate(descriptor, len(new))
    except OSError:
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, old, 0)
            os.ftruncate(descriptor, len(old))
        raise


def _set_now(path: str | int, **where: int | bool) -> None:
    """Set the mtime to the nanosecond, so that two touches within one tick of the kernel's clock are two."""
    now = time.time_ns()
    try:
        os.utime(path, ns=(now, now), **where)  # type: ignore[arg-type]
    except PermissionError:  # who may write to a file but does not own it can only set the present (utimensat(2))
        os.utime(path, **where)  # type: ignore[arg-type]
