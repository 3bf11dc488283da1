from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.build import APP, a_roll
from tests.support.rolling import settings
from tests.support.strangers import STRANGER
from uwsgi_reload_hook.homes import oneshot
from uwsgi_reload_hook.planning.roll import Result
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.shell_store import own_journal
from uwsgi_reload_hook.records.status import HookInfo, roll_document, status_document
from uwsgi_reload_hook.records.store import Store

EMPEROR = "/etc/uwsgi/vassals"
ROLL = a_roll()
ENDED = roll_document(replace(ROLL, result=Result.DONE))
STATUS = status_document("idle", HookInfo(1, "mule", "0", 0.0), ENDED)
UNFINISHED = Journal(roll=ROLL, keys={"a.ini": APP})


def opened(environment: dict[str, str], emperor: str = EMPEROR) -> tuple[Store | None, list[str]]:
    said: list[str] = []
    return own_journal(emperor, environment, said.append), said


def test_the_journal_is_in_the_users_own_directory_and_named_after_the_emperor(tmp_path: Path) -> None:
    store, said = opened({"XDG_STATE_HOME": str(tmp_path / "state")})
    assert store is not None
    store.write_journal(UNFINISHED)
    directory = tmp_path / "state" / "uwsgi-reload-hook"
    assert [path.name for path in directory.iterdir()] == ["%2Fetc%2Fuwsgi%2Fvassals.journal"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    again, _ = opened({"XDG_STATE_HOME": str(tmp_path / "state")})
    assert again is not None
    assert again.read_journal() == UNFINISHED
    assert said == []


@pytest.mark.parametrize("given", ["", "relative/path"])
def test_without_the_variable_it_is_where_the_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    opened({"XDG_STATE_HOME": given})
    assert (tmp_path / ".local" / "state" / "uwsgi-reload-hook").is_dir()


def test_names_that_are_not_utf_8_and_relative_ones_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory, emperor in (("a", "vassals"), ("b", "vassals"), ("a", "caf\udce9")):
        (tmp_path / directory).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / directory)
        store, _ = opened({"XDG_STATE_HOME": str(tmp_path / "state")}, emperor)
        assert store is not None
        store.write_journal(UNFINISHED)
    assert len(list((tmp_path / "state" / "uwsgi-reload-hook").iterdir())) == 3


def test_nothing_is_left_of_a_roll_that_has_ended(tmp_path: Path) -> None:
    store, _ = opened({"XDG_STATE_HOME": str(tmp_path)})
    assert store is not None
    store.write_journal(UNFINISHED)
    store.write_journal(Journal(keys=UNFINISHED.keys))
    store.write_journal(Journal(keys=UNFINISHED.keys))
    assert list((tmp_path / "uwsgi-reload-hook").iterdir()) == []
    assert store.read_journal() is None


def test_a_directory_that_cannot_be_made_is_told_in_one_line_with_its_meaning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store, said = opened({"XDG_STATE_HOME": str(tmp_path / "file")})
    assert store is None
    (line,) = said
    assert f"{tmp_path}/file/uwsgi-reload-hook cannot be made (Not a directory)" in line
    assert "the next reload cannot resume it" in line


def test_one_that_cannot_be_written_to_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    store, said = opened({"XDG_STATE_HOME": str(tmp_path)})
    assert store is None
    (line,) = said
    assert f"{tmp_path}/uwsgi-reload-hook cannot be written to by user" in line


def test_a_user_without_a_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    store, said = opened({})
    assert store is None
    (line,) = said
    assert "has no home directory" in line


def test_a_journal_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    store, said = opened({"XDG_STATE_HOME": str(tmp_path)})
    assert store is not None
    for name in ("%2Fetc%2Fuwsgi%2Fvassals.journal", "%2Fetc%2Fuwsgi%2Fvassals.journal.unusable"):
        (tmp_path / "uwsgi-reload-hook" / name / "not empty").mkdir(parents=True)
    store.write_journal(UNFINISHED)
    store.write_journal(UNFINISHED)
    (line,) = said
    assert "vassals.journal cannot be written (Is a directory)" in line
    assert "the roll is made all the same" in line


def rolled(directory: Path, state_directory: str = "") -> None:
    """Make a roll as a shell keeps it."""
    given = settings(trigger=str(directory / "trigger"), state_directory=state_directory)
    recorder = oneshot.recorder(EMPEROR, given, print)
    assert recorder.resume(None, 1.0) is None
    recorder.begun(ROLL, 0.0)
    recorder.acted(ROLL)
    recorder.ended(replace(ROLL, result=Result.DONE), 1.0)


def test_the_journal_beside_the_trigger_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = Journal(handled=(5, 6), keys={})
    (told := Store(tmp_path, "trigger")).write_journal(hooks)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    rolled(tmp_path, str(tmp_path))
    assert told.read_journal() == hooks
    assert told.last_roll() == ENDED
    assert json.loads((tmp_path / "trigger.history.jsonl").read_text()) == ENDED


def test_without_either_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    rolled(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("owner", "bits", "why"),
    [(STRANGER, 0o700, "it belongs to user nobody"), (0, 0o777, "it can be written to by others")],
)
def test_a_directory_that_another_user_may_change_keeps_no_journal(
    tmp_path: Path, owner: int, bits: int, why: str
) -> None:
    directory = tmp_path / "uwsgi-reload-hook"
    directory.mkdir()
    directory.chmod(bits)
    os.chown(directory, owner, -1)
    store, said = opened({"XDG_STATE_HOME": str(tmp_path)})
    assert store is None
    (line,) = said
    assert f"no journal is kept in {directory}, because {why}: the roll is made all the same" in line


def test_one_that_another_user_gets_hold_of_later_is_not_written_to(tmp_path: Path) -> None:
    store, said = opened({"XDG_STATE_HOME": str(tmp_path)})
    assert store is not None
    (tmp_path / "uwsgi-reload-hook").chmod(0o777)
    store.write_journal(UNFINISHED)
    assert list((tmp_path / "uwsgi-reload-hook").iterdir()) == []
    (line,) = said
    assert "cannot be written (it can be written to by others)" in line
    (tmp_path / "uwsgi-reload-hook").chmod(0o700)
    store.flush()
    assert store.read_journal() == UNFINISHED
    assert said[1:] == ["the journal is written again"]


@pytest.mark.parametrize("mask", [0, 0o077])
def test_nobody_else_reads_a_journal_and_everybody_the_rest(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        store = Store(tmp_path, "trigger")
        store.write_journal(UNFINISHED)
        store.write_status(STATUS)
        store.append_history(ENDED)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"trigger.journal": 0o600, "trigger.status.json": 0o644, "trigger.history.jsonl": 0o644}
