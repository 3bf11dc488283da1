"""What could not be written is written at the next look that can, and said once."""

from __future__ import annotations

import json
import logging
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.build import a_roll
from tests.support.children import python
from tests.support.rolling import Touches, WatchedSite, settings
from tests.support.simulator import Clock, FakeVassal
from uwsgi_reload_hook.client.follow import Follower
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.planning.roll import Request, Result
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.status import HookInfo, RollDocument, roll_document, status_document
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.records.store import OWED_LINES, Store

INFO = HookInfo.of_this_process("mule")


def ended(number: int) -> RollDocument:
    return roll_document(a_roll(id=str(number), request=Request(number), result=Result.DONE))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING):
        yield caplog


def status(directory: Path) -> dict[str, object]:
    document = json.loads((directory / "trigger.status.json").read_text())
    assert isinstance(document, dict)
    return document


def history(directory: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (directory / "trigger.history.jsonl").read_text().splitlines()]


def test_a_directory_removed_and_made_again_gets_the_lines_that_it_missed(
    directory: Path, log: pytest.LogCaptureFixture
) -> None:
    store = Store(directory, "trigger")
    shutil.rmtree(directory)
    for number in (1, 2):
        store.write_status(status_document("idle", INFO, ended(number)))
        store.write_journal(Journal((number, number)))
        store.append_history(ended(number))
        store.flush()
    (complaint,) = log.messages
    assert f"{directory}/trigger.status.json cannot be written (No such file or directory)" in complaint
    directory.mkdir()
    for _ in range(2):
        store.flush()
    assert status(directory) == status_document("idle", INFO, ended(2))
    assert store.read_journal() == Journal((2, 2))
    assert history(directory) == ["1", "2"]
    assert log.messages[1:] == [f"the files in {directory} are written again, and are up to date"]


def test_the_next_outage_is_said_again(directory: Path, log: pytest.LogCaptureFixture) -> None:
    store = Store(directory, "trigger")
    for _ in range(2):
        shutil.rmtree(directory)
        store.write_status(status_document("idle", INFO, None))
        directory.mkdir()
        store.flush()
    assert [message.split(" (")[0][-17:] for message in log.messages[::2]] == ["cannot be written"] * 2
    assert len(log.messages) == 4


def test_only_so_many_lines_of_history_are_kept(directory: Path) -> None:
    store = Store(directory, "trigger")
    shutil.rmtree(directory)
    for number in range(OWED_LINES + 5):
        store.append_history(ended(number))
    directory.mkdir()
    store.flush()
    assert history(directory) == [str(number) for number in range(5, OWED_LINES + 5)]


FULL = """
import sys
from pathlib import Path
from tests.records.test_outages import INFO, ended
from uwsgi_reload_hook.records.store import Store
from uwsgi_reload_hook.records.status import status_document
store = Store(Path(sys.argv[1]), "trigger")
for line in sys.stdin:
    number = int(line)
    if number:
        store.write_status(status_document("idle", INFO, ended(number)))
        store.append_history(ended(number))
    store.flush()
    print("written", flush=True)
"""
ROOT = Path(__file__).parents[2]


def test_a_disk_that_was_full(directory: Path) -> None:
    """It stands for one that no file of the child may grow any more; that is an error of write(2) as well."""
    with python("-c", FULL, str(directory), path=[ROOT]) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def write(number: int) -> None:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "written\n"

        write(1)
        size = (directory / "trigger.history.jsonl").stat().st_size
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
        write(2)
        write(3)
        assert (directory / "trigger.history.jsonl").stat().st_size == size, "no half of a line"
        assert sorted(path.name for path in directory.iterdir()) == ["trigger.history.jsonl", "trigger.status.json"]
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        write(0)
        assert status(directory)["roll"] == ended(3)
        assert history(directory) == ["1", "2", "3"]
        child.stdin.close()
        assert child.stderr is not None
        (complaint, again) = child.stderr.read().splitlines()
    assert "trigger.status.json cannot be written (File too large)" in complaint
    assert "written again" in again


def test_a_hook_that_is_idle_writes_the_end_of_its_roll_when_it_can(
    directory: Path, log: pytest.LogCaptureFixture
) -> None:
    site = WatchedSite([FakeVassal("a.ini", load=1.0), FakeVassal("b.ini", load=1.0)])
    touches = Touches()
    touches.touch()
    gone = directory.with_name("gone")
    moments: list[float] = []

    def after_wait() -> None:
        assert site.now < 1000
        if site.performed and not moments:
            directory.rename(gone)
            moments.append(site.now)
        if moments and site.now > moments[0] + 100 and not directory.exists():
            assert status(gone)["state"] == "rolling"
            gone.rename(directory)
            moments.append(site.now)
        if len(moments) > 1 and site.now > moments[1] + 10:
            clock.end()

    clock = Clock(site, after_wait, 0.05)
    store = Store(directory, "trigger")
    store.write_journal(Journal())  # of a hook before, that has acted on no touch yet
    Controller(
        site, touches, settings(), Recorder(store, (StatusFile(store, INFO), History(store.append_history))), clock
    ).run()
    shown = status(directory)
    assert shown["state"] == "idle"
    assert isinstance(shown["roll"], dict)
    assert shown["roll"]["result"] == "done"
    assert len(history(directory)) == 1
    assert len([message for message in log.messages if "cannot be written" in message]) == 1


# whoever waits


def follower(directory: Path, told: list[str]) -> Follower:
    return Follower(directory / "trigger", None, lambda id_, _: told.append(id_))


def test_who_waits_sees_a_result_that_is_written_late(directory: Path) -> None:
    store = Store(directory, "trigger")
    store.write_status(status_document("idle", INFO, None))
    waiting = follower(directory, [])
    shutil.rmtree(directory)
    assert waiting.follow(5, 1.5)[0] == 3, "longer than without a hook"
    store.write_status(status_document("idle", INFO, ended(5)))
    directory.mkdir()
    store.flush()
    assert waiting.follow(5, None)[0] == 0


def test_who_waits_for_a_hook_that_has_gone_with_its_directory_is_told(directory: Path) -> None:
    with python("-c", "") as child:
        child.wait()
    info = replace(INFO, pid=child.pid)
    Store(directory, "trigger").write_status(status_document("rolling", info, None))
    waiting = follower(directory, [])
    shutil.rmtree(directory)
    assert waiting.follow(5, None)[0] == 4
