from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import python, waits
from tests.support.servers import listens
from uwsgi_reload_hook.site import processes


def ticks_since_boot() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


NOBODY = [-1, 0, 2**22 + 1, 2**31, 2**64]
"""Pids that no process can have; the Emperor tells -1 for a vassal that waits for its first request."""


@pytest.mark.parametrize("pid", NOBODY)
@pytest.mark.parametrize(
    ("read", "nothing"),
    [
        (processes.parent, None),
        (processes.started, None),
        (processes.children, None),
        (processes.command_line, []),
        (processes.working_directory, None),
        (processes.environment, None),
        (processes.reloads, None),
    ],
)
def test_of_nobody_nothing_is_told(pid: int, read: Callable[[int], object], nothing: object) -> None:
    assert read(pid) == nothing


def test_what_is_told_of_a_child(tmp_path: Path) -> None:
    before = ticks_since_boot()
    with waits({"MARK": "it is me", "PATH": ""}, cwd=tmp_path) as child:
        pid = child.pid
        assert processes.parent(pid) == os.getpid()
        started = processes.started(pid)
        assert started is not None
        assert before <= started <= ticks_since_boot()
        assert processes.children(pid) == frozenset()
        assert processes.command_line(pid)[:2] == [sys.executable, "-c"]
        assert processes.working_directory(pid) == str(tmp_path)
        variables = processes.environment(pid)
        assert variables is not None
        assert variables["MARK"] == "it is me"
        own = processes.children(os.getpid())
        assert own is not None
        assert own == {(pid, started)}


def test_a_child_that_has_ended_is_told_no_more_though_nobody_has_waited_for_it() -> None:
    with waits() as child:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.started(child.pid) is None
        assert processes.children(os.getpid()) == frozenset()
        assert processes.parent(child.pid) == os.getpid()
        assert not processes.environment(child.pid)
        assert processes.reloads(child.pid) is None
        child.wait()
        assert processes.parent(child.pid) is None


@pytest.mark.parametrize("name", [") Z 1 2", "a b", ")", "(", "\n) S 9\n", "\xff"])
def test_a_process_is_told_by_its_ticks_whatever_it_calls_itself(name: str) -> None:
    script = (
        "import sys\n"
        f"with open('/proc/self/comm', 'wb') as comm: comm.write({name.encode('latin-1')!r})\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    before = ticks_since_boot()
    with python("-c", script) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        started = processes.started(child.pid)
        assert started is not None
        assert before <= started <= ticks_since_boot()
        assert processes.children(os.getpid()) == frozenset({(child.pid, started)})


def test_the_boot_has_a_name() -> None:
    assert len(processes.boot_id()) == 36
    assert processes.boot_id() == processes.boot_id()


def test_the_first_process_has_no_parent() -> None:
    assert processes.parent(1) is None
    assert processes.started(1) is not None


@pytest.mark.parametrize(
    ("count", "expected"),
    [("0", 0), ("7", 7), (None, -1), ("", None), ("--5", None), ("five", None), ("1.5", None), ("²", None)],
)
def test_reloads_are_counted_by_the_master_itself(count: str | None, expected: int | None) -> None:
    variables = {"UWSGI_EMPEROR_FD": "5", **({} if count is None else {"UWSGI_RELOADS": count})}
    with waits(variables) as child:
        assert processes.reloads(child.pid) == expected


def test_listening_sockets_are_told_as_uwsgi_writes_them(tmp_path: Path) -> None:
    abstract = f"uwsgi-reload-hook-{os.getpid()}"
    with (
        listens(tmp_path / "app.sock"),
        socket.socket(socket.AF_UNIX) as unnamed,
        socket.socket(socket.AF_UNIX) as hidden,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_connection(tcp.getsockname()) as client,
    ):
        hidden.bind(f"\0{abstract}")
        hidden.listen()
        datagram.bind(str(tmp_path / "datagram.sock"))
        own = processes.listening()[os.getpid()]
        port = tcp.getsockname()[1]
        assert own >= {str(tmp_path / "app.sock"), f"@{abstract}", f"127.0.0.1:{port}"}
        assert not own & {str(tmp_path / "datagram.sock"), f"127.0.0.1:{client.getsockname()[1]}", ""}
        assert unnamed.getsockname() == ""


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_an_ipv6_address_is_told_in_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp:
        assert f"[::1]:{tcp.getsockname()[1]}" in processes.listening()[os.getpid()]


def test_a_path_with_a_line_break_that_anybody_may_bind_hides_nothing(tmp_path: Path) -> None:
    with listens(tmp_path / "a\nb c"), listens(tmp_path / "socket"):
        for kind in ("all", "unix"):
            assert processes.listening(kind)[os.getpid()] >= {str(tmp_path / "socket"), str(tmp_path / "a\nb c")}


def test_a_line_of_the_kernels_list_that_somebody_forges_gives_nobody_an_address(tmp_path: Path) -> None:
    with listens(tmp_path / "socket") as listener, socket.socket(socket.AF_UNIX) as forged:
        forged.bind(f"\0\n0: 2 0 10000 0001 01 {os.fstat(listener.fileno()).st_ino} /run/app-2.sock")
        assert "/run/app-2.sock" not in processes.listening("unix")[os.getpid()]


def test_the_files_that_a_process_holds_open_are_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w"):
        assert str(tmp_path / "file") in processes.open_files(os.getpid())
    assert str(tmp_path / "file") not in processes.open_files(os.getpid())
    assert processes.open_files(-1) == []


def test_a_signal_arrives_and_one_to_nobody_is_an_oserror() -> None:
    with waits() as child:
        processes.send_signal(child.pid, signal.SIGTERM)
        assert child.wait() == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            processes.send_signal(child.pid, signal.SIGTERM)
