"""The only module of the package that creates, writes, renames or removes files.

Each call opens its directory again (directories.py), so that it finds one that was removed and made again. Files are
reached by that descriptor, so that no link leads to a file elsewhere.
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
"""The mode that `touch` gives a new file, before the umask."""
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
        """Raise OSError unless the directory can be opened."""
        with self._opened():
            pass

    def replace(self, name: str, text: str, mode: int) -> None:
        """Write a new file and rename it, so that a reader never sees half of one; its mode ignores the umask.

        No fsync: the hook's files only matter while the vassals run, and a power cut ends those too.
        """
        beside = f".uwsgi-reload-hook.{secrets.token_hex(8)}"
        with self._opened() as directory, _new(directory, beside, text, mode):
            os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)

    def create(self, name: str, text: str = "", mode: int | None = None) -> None:
        """Write a file that does not exist yet; without `mode` it gets the mode that `touch` gives."""
        with self._opened() as directory, _new(directory, name, text, mode):
            pass

    def append(self, name: str, text: str, mode: int) -> None:
        """Append to a file of this process's user, or create it. A text that does not fit whole is removed again."""
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

        It must belong to this process's user or root, unless `anybodys` says that the caller trusts nothing in it.
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
        """Remove a file, or the link in its place, if it exists."""
        with self._opened() as directory, contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)

    def set_aside(self, name: str, new_name: str) -> None:
        """Rename a file, or the link in its place. It replaces a file of the new name."""
        with self._opened() as directory:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=directory)
            with contextlib.suppress(FileNotFoundError):  # rename(2) leaves both names of one file as they are
                os.unlink(name, dir_fd=directory)

    def link(self, name: str, target: str) -> None:
        """Create a symlink that does not exist yet."""
        with self._opened() as directory:
            os.symlink(target, name, dir_fd=directory)

    def touch(self, name: str) -> int:
        """Set a file's mtime to now, or create an empty file; returns the mtime in ns. No content changes.

        Of a symlink, the target is touched.
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
        """Replace content that is `replaceable` and has at most `limit` bytes, or create the file.

        The file keeps its inode, owner and mode. Returns its mtime in ns, which is now.
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
    """Create a directory, and its missing parents, for this user alone. Raises OSError."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        with opened(one.parent) as above, contextlib.suppress(FileExistsError):
            os.mkdir(one.name, 0o700, dir_fd=above)


def log_stream(path: Path) -> TextIO:
    """Open a log to append to: a file of this process's user or of root, or a new one. Raises OSError."""
    owners = {0, os.geteuid()}
    with opened(path.absolute().parent) as above, _appendable(above, path.name, 0o644, owners) as descriptor:
        return open(os.dup(descriptor), "a", buffering=1)  # noqa: PTH123 - a descriptor, the caller's


@contextlib.contextmanager
def _appendable(directory: int, name: str, mode: int, owners: Collection[int]) -> Iterator[int]:
    """Give a descriptor that appends to a file; a new file gets `mode`."""
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
    """Create a file that does not exist, and remove it if the block fails.

    Its mode ignores the umask; None = the mode that `touch` gives, and root's belongs to the directory's owner.
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
    """Replace a small file's content so that a reader sees all of the new content, at most with blank lines after it.

    If the new content does not fit on the disk, the old content is put back.
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
    """Set the mtime in nanoseconds, so that two touches within one tick of the kernel's clock differ."""
    now = time.time_ns()
    try:
        os.utime(path, ns=(now, now), **where)  # type: ignore[arg-type]
    except PermissionError:  # a writer who is not the owner may only set the present time (utimensat(2))
        os.utime(path, **where)  # type: ignore[arg-type]
