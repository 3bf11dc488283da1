"""What belongs to a vassal is written to and read, and nothing else that its config names or its process holds."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.children import python
from tests.support.servers import answers, listens, serves
from tests.support.strangers import READY, STRANGER, waiting_stranger
from uwsgi_reload_hook.site.master import MEANINGLESS, MOST, wake

HOLD = "import os, sys\nos.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)\n"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that other users may enter; pytest's own are closed to them."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def fifo(path: Path, owner: int) -> Iterator[int]:
    """A FIFO that everybody may open, and a reader of it."""
    os.mkfifo(path)
    path.chmod(0o666)
    os.chown(path, owner, owner)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


def read(reader: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(reader, 100)
    return b""


def config(directory: Path, *lines: str) -> str:
    path = directory / "app.ini"
    path.write_text("\n".join(["[uwsgi]", *lines, ""]))
    return str(path)


def test_a_fifo_of_its_own_that_a_vassal_holds_or_names_is_written_to(shared: Path) -> None:
    with fifo(shared / "own", os.geteuid()) as reader, python("-c", HOLD + READY, str(shared / "own")) as vassal:
        assert vassal.stdout is not None
        assert vassal.stdout.readline() == "ready\n"
        assert wake(vassal.pid, "/none.ini")
        assert read(reader) == MEANINGLESS
    with fifo(shared / "theirs", STRANGER) as reader, waiting_stranger("") as other:
        assert wake(other.pid, config(shared, f"master-fifo = {shared}/theirs"))
        assert read(reader) == MEANINGLESS


def test_a_fifo_of_somebody_else_is_not(shared: Path) -> None:
    with fifo(shared / "ours", os.geteuid()) as reader, waiting_stranger(HOLD, str(shared / "ours")) as vassal:
        assert not wake(vassal.pid, config(shared, f"master-fifo = {shared}/ours"))
        assert read(reader) == b""


def test_what_is_no_fifo_is_not_opened(shared: Path) -> None:
    (shared / "file").touch()
    assert not wake(os.getpid(), config(shared, f"master-fifo = {shared}/file", "master-fifo = /none"))
    assert (shared / "file").read_bytes() == b""


def test_a_stats_socket_is_read_if_its_vassal_listens_there(shared: Path) -> None:
    named = config(shared, f"stats = {shared}/stats")
    with serves(shared / "stats", answers("{}")):
        assert wake(os.getpid(), named)


def answers_whoever_listens(connection: socket.socket) -> None:
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"{}")


def test_a_stats_socket_that_is_somebody_elses_is_not_read(shared: Path) -> None:
    named = config(shared, f"stats = {shared}/stats")
    with serves(shared / "stats", answers_whoever_listens), waiting_stranger("") as vassal:
        assert not wake(vassal.pid, named)


def test_a_socket_that_says_nothing_wakes_nobody(shared: Path) -> None:
    named = config(shared, f"stats = {shared}/stats", "stats-server = /none")
    with listens(shared / "stats"):
        assert not wake(os.getpid(), named)


def test_of_many_sockets_that_say_nothing_one_takes_all_the_patience(shared: Path) -> None:
    """Before: each had a patience of its own, and a config that named 9,000 held up all vassals for half an hour."""
    named = config(shared, *(f"stats = {shared}/{'./' * number}stats" for number in range(20)))
    with listens(shared / "stats", backlog=100) as listener:
        assert not wake(os.getpid(), named)
        listener.setblocking(False)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_of_many_sockets_that_are_somebody_elses_a_few_are_asked(shared: Path) -> None:
    named = config(shared, *(f"stats = {shared}/{'./' * number}stats" for number in range(20)))
    with listens(shared / "stats", backlog=100) as listener, waiting_stranger("") as vassal:
        assert not wake(vassal.pid, named)
        listener.setblocking(False)
        for _ in range(MOST):
            listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_of_nobody_nothing_is_touched() -> None:
    assert not wake(2**22 + 1, "/none.ini")
