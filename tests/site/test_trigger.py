from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watchdog.events import (
    DirModifiedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.planning.roll import Request
from uwsgi_reload_hook.site.trigger import TEXT_LIMIT, VALUE_LIMIT, Trigger, _Handler, parse_text

PATIENCE = 10.0
"""Seconds within which a change must be told of, on the slowest of machines."""


@contextlib.contextmanager
def watched(path: Path | str) -> Iterator[threading.Event]:
    """An event that is set when the trigger tells of a change."""
    told = threading.Event()
    trigger = Trigger(str(path), told.set)
    trigger.start()
    try:
        yield told
    finally:
        trigger.stop()


def create(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.touch()


def write(path: Path) -> None:
    path.write_text("message=hello\n")


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("message=more\n")


def touch(path: Path) -> None:
    path.touch()


def touch_back(path: Path) -> None:
    os.utime(path, (1, 1))


def replace(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_text("message=new\n")
    beside.replace(path)


def replace_from_elsewhere(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "new").write_text("")
    (elsewhere / "new").replace(path)


def touch_through_a_link(path: Path) -> None:
    link = path.parent / "link"
    link.symlink_to(path)
    link.touch()


CHANGES = [create, write, append, touch, touch_back, replace, replace_from_elsewhere, touch_through_a_link]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_trigger_is_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "trigger"
    path.touch()
    with watched(path) as told:
        change(path)
        assert told.wait(PATIENCE)


@pytest.mark.parametrize("change", [create, write, replace, replace_from_elsewhere])
def test_a_trigger_that_is_made_is_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "trigger"
    with watched(path) as told:
        change(path)
        assert told.wait(PATIENCE)


def test_a_trigger_is_told_again_after_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    path.touch()
    with watched(path) as told:
        for change in (replace, replace, touch):
            told.clear()
            change(path)
            assert told.wait(PATIENCE)


@pytest.mark.parametrize("change", [write, touch, replace])
@pytest.mark.parametrize("end", ["link", "target"])
def test_a_trigger_that_is_a_symlink_is_watched_at_both_ends(
    tmp_path: Path, change: Callable[[Path], None], end: str
) -> None:
    ends = {"link": tmp_path / "links" / "trigger", "target": tmp_path / "targets" / "real"}
    for path in ends.values():
        path.parent.mkdir()
    ends["target"].touch()
    ends["link"].symlink_to(ends["target"])
    with watched(ends["link"]) as told:
        change(ends[end])
        assert told.wait(PATIENCE)


def test_a_link_to_a_file_that_does_not_exist_yet_is_told_when_it_does(tmp_path: Path) -> None:
    (tmp_path / "trigger").symlink_to(tmp_path / "real")
    with watched(tmp_path / "trigger") as told:
        (tmp_path / "real").touch()
        assert told.wait(PATIENCE)


def test_a_link_to_a_directory_that_does_not_exist_is_told_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    path.symlink_to(tmp_path / "missing" / "real")
    with watched(path) as told:
        replace(path)
        assert told.wait(PATIENCE)


def test_a_relative_path_and_one_with_dots_mean_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in ("trigger", "sub/../trigger", f"{tmp_path}//sub/..//trigger"):
        with watched(path) as told:
            (tmp_path / "trigger").touch()
            assert told.wait(PATIENCE)


def test_where_nothing_can_be_watched_it_is_said_and_no_thread_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    trigger = Trigger(str(directory / "trigger"), lambda: None)
    directory.rmdir()
    with caplog.at_level(logging.WARNING):
        trigger.start()
    trigger.stop()
    assert "cannot be watched (No such file or directory); its mtime is looked at" in caplog.text
    assert trigger.request() is None


def test_a_watch_that_fails_after_another_was_begun_leaves_no_thread(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "trigger").symlink_to(tmp_path / "b" / "real")
    before = set(threading.enumerate())
    trigger = Trigger(str(tmp_path / "a" / "trigger"), lambda: None)
    (tmp_path / "a" / "trigger").unlink()
    (tmp_path / "a").rmdir()
    (tmp_path / "a").symlink_to(tmp_path / "b")
    shutil.rmtree(tmp_path / "b")
    trigger.start()
    trigger.stop()
    assert set(threading.enumerate()) == before


def test_a_trigger_can_be_stopped_before_it_was_started(tmp_path: Path) -> None:
    trigger = Trigger(str(tmp_path / "trigger"), lambda: None)
    trigger.stop()
    assert trigger.path == tmp_path / "trigger"


def test_a_directory_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"the directory {tmp_path}/missing does not exist; create it"):
        Trigger(str(tmp_path / "missing" / "trigger"), lambda: None)


def test_a_directory_in_place_of_the_trigger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"reload-hook-trigger = {tmp_path}/: this is a directory"):
        Trigger(f"{tmp_path}/", lambda: None)


class OpenedEvent(FileModifiedEvent):
    """watchdog tells of it from version 3 on."""

    event_type = "opened"


class OldEvent(FileModifiedEvent):
    """An event of watchdog before version 4: only a move has a destination."""

    def __getattribute__(self, name: str) -> object:
        if name == "dest_path":
            raise AttributeError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (FileModifiedEvent("/d/trigger"), True),
        (FileModifiedEvent(b"/d/trigger"), True),
        (FileCreatedEvent("/d/trigger"), True),
        (FileClosedEvent("/d/trigger"), True),
        (FileMovedEvent("/d/beside", "/d/trigger"), True),
        (FileMovedEvent("/d/trigger", "/d/old"), True),
        (OldEvent("/d/trigger"), True),
        (OpenedEvent("/d/trigger"), False),
        (OldEvent("/d/triggers"), False),
        (FileModifiedEvent("/d/trigger.status.json"), False),
        (FileMovedEvent("/d/.trigger.status.json.1", "/d/trigger.status.json"), False),
        (DirModifiedEvent("/d"), False),
    ],
)
def test_only_what_may_have_changed_the_file_is_told(event: FileSystemEvent, told: bool) -> None:
    calls: list[bool] = []
    _Handler({"/d/trigger"}, lambda: calls.append(True)).on_any_event(event)
    assert bool(calls) is told


def test_no_file_is_no_request(tmp_path: Path) -> None:
    assert Trigger(str(tmp_path / "trigger"), lambda: None).request() is None


def test_a_bare_touch_asks_for_everything(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    path.touch()
    status = path.stat()
    request = Trigger(str(path), lambda: None).request()
    assert request == Request(status.st_mtime_ns, status.st_ino, request_id="", message="", only="*")


def test_a_request_is_told_from_the_one_before_though_their_mtimes_are_alike(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    trigger = Trigger(str(path), lambda: None)
    inodes = set()
    for name in ("one", "two"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (5, 5))
    for name in ("one", "two"):
        (tmp_path / name).replace(path)
        request = trigger.request()
        assert request is not None
        assert request.mtime_ns == 5_000_000_000
        inodes.add(request.inode)
    assert len(inodes) == 2


def test_a_request_says_what_its_text_says(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    path.write_text("message = Freitag, kurz vor fünf\nrequest-id=42\nonly=app1*\nminimum-active-vassals=0\n", "utf-8")
    request = Trigger(str(path), lambda: None).request()
    assert request is not None
    assert (request.message, request.request_id, request.only) == ("Freitag, kurz vor fünf", "42", "app1*")


def test_a_trigger_of_any_bytes_and_any_length_is_a_request(tmp_path: Path) -> None:
    path = tmp_path / "trigger"
    path.write_bytes(b"\xff\xfe\0only=\n" + b"message=\xff\n" + b"x" * 10_000_000 + b"\nonly=late")
    request = Trigger(str(path), lambda: None).request()
    assert request is not None
    assert (request.message, request.only) == ("\ufffd", "*")


def test_a_trigger_that_cannot_be_looked_at_is_no_request_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "trigger"
    path.symlink_to(path)
    trigger = Trigger(str(path), lambda: None)
    with caplog.at_level(logging.WARNING):
        assert [trigger.request() for _ in range(3)] == [None, None, None]
    assert len(caplog.records) == 1
    assert f"the trigger {path} cannot be looked at" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("deploy", {}),
        ("message=a=b", {"message": "a=b"}),
        (" only = a* \r\n", {"only": "a*"}),
        ("only=a\nonly=b", {"only": "b"}),
        ("only", {}),
        ("only=", {"only": ""}),
        ("Only=a\nmessages=b\n=c\nrequest_id=5", {}),
        ("message=\x1b[31mred\x07\0", {"message": r"\x1b[31mred\x07\x00"}),
        ("message=a\u202eb", {"message": r"a\u202eb"}),
        ("message=" + "m" * 1000, {"message": "m" * VALUE_LIMIT}),
        ("x" * TEXT_LIMIT + "\nonly=late", {}),
        ("x" * (TEXT_LIMIT - 8) + "\nonly=abc", {"only": "ab"}),
    ],
)
def test_a_text_is_read_by_its_lines(text: str, expected: dict[str, str]) -> None:
    assert parse_text(text) == expected


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(), st.text("only=message\n\t ")))
def test_whatever_a_text_says_only_three_short_printable_values_come_of_it(text: str) -> None:
    found = parse_text(text)
    assert found.keys() <= {"message", "request-id", "only"}
    assert all(len(value) <= VALUE_LIMIT and value.isprintable() for value in found.values())
