"""The Emperor's protocol: the two ends in memory, and then the vassal's end of a real pipe."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.children import python
from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.homes.attached import Line
from uwsgi_reload_hook.uwsgi.emperor_protocol import ToVassal, decode, greeting


@dataclass
class FakeEmperor:
    """What the Emperor makes of the bytes of one vassal, and what it sends (core/emperor.c)."""

    ready: bool = False
    accepting: bool = False
    loyal: bool = False

    def take(self, data: bytes) -> None:
        for byte in data:
            if byte == 1:
                self.ready = True
            elif byte == 5:
                self.accepting = True
            elif byte == 17:
                self.loyal = True
            else:
                pytest.fail(f"{byte} is no message for this vassal to send")

    def reload(self) -> bytes:
        self.accepting = False
        return b"\1"


def test_a_greeting_makes_a_vassal_started_accepting_and_loyal() -> None:
    emperor = FakeEmperor()
    emperor.take(greeting())
    assert emperor == FakeEmperor(ready=True, accepting=True, loyal=True)


def test_a_reload_is_heard_and_greeted_again() -> None:
    emperor = FakeEmperor()
    emperor.take(greeting())
    assert list(decode(emperor.reload())) == [ToVassal.RELOAD]
    assert not emperor.accepting
    emperor.take(greeting())
    assert emperor.accepting


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"\0", [ToVassal.STOP]),
        (b"\1", [ToVassal.RELOAD]),
        (b"\2", [ToVassal.STOP_GRACEFULLY]),
        (b"", [ToVassal.GONE]),
        (b"\1\0", [ToVassal.RELOAD, ToVassal.STOP]),
        (b"\3\xff\1", [ToVassal.RELOAD]),
        (b"\x1a", []),
    ],
)
def test_what_the_emperor_says(data: bytes, messages: list[ToVassal]) -> None:
    assert list(decode(data)) == messages


@dataclass
class Wire:
    """A line that listens, and the Emperor's end of it."""

    line: Line
    inbox: Inbox
    emperor: socket.socket
    vassal: socket.socket


@pytest.fixture
def wire() -> Iterator[Wire]:
    emperor, vassal = socket.socketpair()
    with emperor, vassal:
        inbox = Inbox()
        line = Line(vassal.fileno(), inbox)
        line.listen()
        yield Wire(line, inbox, emperor, vassal)
        emperor.close()
        inbox.wait(10)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\0", ToVassal.STOP), (b"\1", ToVassal.RELOAD), (b"\2", ToVassal.STOP_GRACEFULLY), (b"\7\1", ToVassal.RELOAD)],
)
def test_a_message_stops_the_hook_and_is_kept(wire: Wire, data: bytes, said: ToVassal) -> None:
    wire.emperor.send(data)
    assert wire.inbox.wait(10)
    assert wire.line.message is said


def test_the_end_of_the_pipe_is_the_end_of_the_emperor(wire: Wire) -> None:
    wire.emperor.close()
    assert wire.inbox.wait(10)
    assert wire.line.message is ToVassal.GONE


def test_a_byte_without_a_meaning_stops_nothing(wire: Wire) -> None:
    wire.emperor.send(b"\7")
    assert not wire.inbox.wait(0.05)
    assert wire.line.message is None


def test_a_stop_behind_a_reload_is_left_for_the_next_image(wire: Wire) -> None:
    wire.emperor.send(b"\1\0")
    assert wire.inbox.wait(10)
    assert wire.line.message is ToVassal.RELOAD
    again = Line(wire.vassal.fileno(), inbox := Inbox())
    again.listen()
    assert inbox.wait(10)
    assert again.message is ToVassal.STOP


def test_the_greeting_arrives_and_an_emperor_that_has_gone_is_no_error(wire: Wire) -> None:
    wire.line.greet()
    assert wire.emperor.recv(64) == greeting()
    wire.emperor.close()
    assert wire.inbox.wait(10)
    wire.line.greet()


def test_a_descriptor_that_is_none_counts_as_an_emperor_that_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    line = Line(reader, inbox := Inbox())
    line.listen()
    assert inbox.wait(10)
    assert line.message is ToVassal.GONE


@pytest.mark.parametrize("descriptor", [None, "", "none"])
def test_without_an_emperor_it_says_what_to_do_and_ends(descriptor: str | None) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "UWSGI_EMPEROR_FD"}
    if descriptor is not None:
        environment["UWSGI_EMPEROR_FD"] = descriptor
    with python("-m", "uwsgi_reload_hook", "vassal", environment=environment) as child:
        _, err = child.communicate()
    assert child.returncode == 2
    assert "no Emperor has started this process: put it into a vassal ini" in err


@pytest.mark.parametrize(("data", "why"), [(b"\2", "it was asked to stop"), (b"", "the Emperor has gone")])
def test_it_ends_at_once_while_it_still_looks_for_the_emperor(tmp_path: Path, data: bytes, why: str) -> None:
    emperor, vassal = socket.socketpair()
    with emperor, vassal:
        environment = {**os.environ, "UWSGI_EMPEROR_FD": str(vassal.fileno())}
        arguments = ("-m", "uwsgi_reload_hook", "vassal", "--trigger", "trigger")
        with python(*arguments, environment=environment, cwd=tmp_path, keeps=[vassal.fileno()]) as child:
            vassal.close()
            emperor.send(data)
            emperor.close()
            _, err = child.communicate()
    assert child.returncode == 0
    assert f"ends: {why}" in err


@pytest.mark.parametrize("name", ["log", "nowhere/log"])
def test_it_logs_to_the_file_that_it_is_told(tmp_path: Path, name: str) -> None:
    environment = {key: text for key, text in os.environ.items() if key != "UWSGI_EMPEROR_FD"}
    path = tmp_path / name
    with python("-m", "uwsgi_reload_hook", "vassal", "--log-file", str(path), environment=environment) as child:
        _, err = child.communicate()
    assert child.returncode == 2
    if path.exists():
        assert ("no Emperor has started this process" in path.read_text(), err) == (True, "")
    else:
        why = f"uwsgi-reload-hook: --log-file {path} cannot be written (No such file or directory): logs here instead\n"
        assert err.startswith(why)
        assert "no Emperor has started this process" in err


def test_a_log_file_that_was_exchanged_for_a_link_ends_no_hook_at_its_reload(tmp_path: Path) -> None:
    """Before: the hook ended with 2 at the next touch of its config, and the Emperor's vassals had none any more."""
    (tmp_path / "log").symlink_to(tmp_path / "target")
    (tmp_path / "target").touch()
    emperor, vassal = socket.socketpair()
    with emperor, vassal:
        environment = {**os.environ, "UWSGI_EMPEROR_FD": str(vassal.fileno())}
        arguments = ("-m", "uwsgi_reload_hook", "vassal", "--trigger", "trigger", "--log-file", "log")
        with python(*arguments, environment=environment, cwd=tmp_path, keeps=[vassal.fileno()]) as child:
            vassal.close()
            emperor.send(b"\1\2")  # reload, and stop
            _, err = child.communicate()
    assert child.returncode == 0
    assert err.count("--log-file log cannot be written (it is a symlink): logs here instead\n") == 2
    assert "ends: it was asked to stop" in err
    assert (tmp_path / "target").read_bytes() == b""
