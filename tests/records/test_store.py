from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.build import a_progress, a_roll, touched
from tests.support.journals import journals, rolls
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.journal import Journal, encode, shifted
from uwsgi_reload_hook.records.store import HookInfo, Store, roll_document, status_document

HOOK = HookInfo(pid=7, mode="mule", version="0.1", started=1000.5, start_ticks=77, boot_id="b")
REQUEST = Request(mtime_ns=5_000_000_001, inode=9, request_id="42", message="hello", only="a*")
DONE = a_progress("a.ini", Phase.DONE, since=103.0, reason="serves again", started=100.5, finished=103.0)
ROLL = a_roll(
    a_progress("b.ini", Phase.PENDING, since=100.0, keys=frozenset({"y", "x"})),
    touched(DONE, at=101.0),
    id="5-1",
    request=REQUEST,
    started=100.0,
    started_wall=2000.0,
    excluded={"z.ini": "a zerg vassal"},
    minimum={"y": 1, "x": 0},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "trigger")


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize("kind", ["missing", "a file", "below a file"])
def test_an_unwritable_state_directory_is_an_error_that_names_the_option(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    file.touch()
    directory = {"missing": tmp_path / "missing", "a file": file, "below a file": file / "below"}[kind]
    with pytest.raises(ConfigError, match=f"{directory} cannot be written to .* set reload-hook-state-directory"):
        Store(directory, "trigger")


def test_nothing_is_written_before_there_is_something_to_say(tmp_path: Path, store: Store) -> None:
    assert store.last_roll() is None
    assert store.read_journal() is None
    assert not names(tmp_path)


def test_each_file_is_named_after_the_trigger_and_nothing_else_is_left(tmp_path: Path, store: Store) -> None:
    for _ in range(2):
        store.write_status(status_document("idle", HOOK, None))
        store.write_journal(Journal())
        store.append_history(roll_document(ROLL))
    assert names(tmp_path) == {"trigger.status.json", "trigger.journal", "trigger.history.jsonl"}


def write_status(store: Store) -> None:
    store.write_status(status_document("idle", HOOK, None))


def write_journal(store: Store) -> None:
    store.write_journal(Journal((1, 2)))


def append_history(store: Store) -> None:
    store.append_history(roll_document(ROLL))


@pytest.mark.parametrize(("name", "write"), [("trigger.status.json", write_status), ("trigger.journal", write_journal)])
def test_a_file_is_replaced_whole_and_never_written_in_place(
    tmp_path: Path, store: Store, name: str, write: Callable[[Store], None]
) -> None:
    path = tmp_path / name
    write(store)
    with path.open() as reader:
        before = path.read_text()
        write(store)
        assert reader.read() == before
        assert os.fstat(reader.fileno()).st_ino != path.stat().st_ino


def test_a_status_says_what_the_contract_says(store: Store, tmp_path: Path) -> None:
    store.write_status(status_document("rolling", HOOK, roll_document(ROLL)))
    document = json.loads((tmp_path / "trigger.status.json").read_text())
    assert document["schema"] == 1
    assert document["state"] == "rolling"
    assert document["hook"] == {
        "pid": 7,
        "mode": "mule",
        "version": "0.1",
        "started": 1000.5,
        "start_ticks": 77,
        "boot_id": "b",
    }
    roll = document["roll"]
    assert roll["request"]["mtime_ns"] == 5_000_000_001
    assert (roll["id"], roll["result"], roll["reason"]) == ("5-1", None, "")
    assert (roll["started"], roll["finished"]) == (2000.0, None)
    assert roll["minimum"] == {"x": 0, "y": 1}
    assert roll["left_alone"] == {"z.ini": "a zerg vassal"}
    assert list(roll["vassals"]) == ["a.ini", "b.ini"]
    done, pending = roll["vassals"].values()
    assert (done["phase"], done["reason"]) == ("done", "serves again")
    assert (done["started"], done["touched"], done["finished"]) == (2000.5, 2001.0, 2003.0)
    assert (pending["phase"], pending["keys"], pending["started"]) == ("pending", ["x", "y"], None)


@pytest.mark.parametrize("result", list(Result))
def test_the_last_roll_that_ended_is_found_again(store: Store, result: Result) -> None:
    ended = roll_document(replace(ROLL, result=result, finished=110.0, reason="because"))
    store.write_status(status_document("idle", HOOK, ended))
    assert store.last_roll() == ended
    assert ended["result"] == result.value
    assert ended["finished"] == 2010.0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"roll": null}', '{"roll": 5}', '{"roll": {"result": null}}', '{"roll": {"result": [1]}}',
     '{"schema": 1}', "\udcff", "[" * 100_000],
)  # fmt: skip
def test_a_status_without_an_ended_roll_has_none(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / "trigger.status.json").write_text(text, errors="surrogateescape")
    assert store.last_roll() is None


def test_a_roll_that_is_under_way_is_no_last_roll(store: Store) -> None:
    store.write_status(status_document("rolling", HOOK, roll_document(ROLL)))
    assert store.last_roll() is None


def test_history_has_a_line_a_roll_even_where_a_message_has_several(store: Store, tmp_path: Path) -> None:
    for message in ("one\ntwo", "\u2028", "\udcff"):
        store.append_history(roll_document(replace(ROLL, request=replace(REQUEST, message=message))))
    lines = (tmp_path / "trigger.history.jsonl").read_text().split("\n")
    assert [json.loads(line)["request"]["message"] for line in lines[:-1]] == ["one\ntwo", "\u2028", "\udcff"]
    assert lines[-1] == ""


def obstruct(path: Path) -> None:
    """Make it impossible, for root too, to write a file."""
    (path / "not empty").mkdir(parents=True)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("trigger.status.json", write_status),
        ("trigger.journal", write_journal),
        ("trigger.history.jsonl", append_history),
    ],
)
def test_a_file_that_cannot_be_written_is_said_and_stops_no_roll(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, write: Callable[[Store], None]
) -> None:
    for each in (name, f"{name}.unusable"):
        obstruct(tmp_path / each)
    with caplog.at_level(logging.ERROR):
        write(store)
    assert f"{tmp_path / name} cannot be written (Is a directory)" in caplog.text


# the journal


@settings(max_examples=50, deadline=None)
@given(journals)
def test_a_journal_is_read_as_it_was_written(journal: Journal) -> None:
    with TemporaryDirectory() as directory:
        store = Store(Path(directory), "trigger")
        store.write_journal(journal)
        assert store.read_journal() == journal


@settings(max_examples=50, deadline=None)
@given(rolls, st.integers(-1000, 1000))
def test_a_roll_that_is_moved_in_time_keeps_the_distances_between_its_moments(roll: Roll, seconds: int) -> None:
    moved = shifted(roll, seconds)
    assert moved.started == roll.started + seconds
    for id_, before in roll.vassals.items():
        after = moved.vassals[id_]
        pairs = [(before.since, after.since), (before.unseen_since, after.unseen_since)]
        pairs += zip(before.times[:3], after.times[:3], strict=True)
        pairs += [pair for pair in zip(before.warmup, after.warmup, strict=True) if not isinstance(pair[0], int)]
        assert all(new == (None if old is None else old + seconds) for old, new in pairs)
        assert after.times.load_seconds == before.times.load_seconds, "a duration, not a time"
        assert after.phase is before.phase


GOOD: dict[str, Any] = json.loads(encode(Journal((1, 2), {"a.ini": frozenset("x")}, ROLL, 100.0)))


def text_of(document: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(document).encode()


def without(name: str) -> bytes:
    return text_of({key: value for key, value in GOOD.items() if key != name})


UNUSABLE = {
    "empty": b"",
    "torn": text_of(GOOD)[:50],
    "torn by a byte": text_of(GOOD)[:-1],
    "doubled": text_of(GOOD) * 2,
    "zeros": b"\0" * 4096,
    "not UTF-8": b'{"schema": 1, "\xff": 1}',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"schema"',
    "nested": b"[" * 100_000,
    "no schema": without("schema"),
    "no keys": without("keys"),
    "another schema": text_of({**GOOD, "schema": 2}),
    "schema of another type": text_of({**GOOD, "schema": "1"}),
    "handled: a number": text_of({**GOOD, "handled": 5}),
    "handled: too short": text_of({**GOOD, "handled": [1]}),
    "handled: words": text_of({**GOOD, "handled": ["now", "then"]}),
    "handled: endless": b'{"schema": 1, "handled": [1e999, 1], "keys": {}, "roll": null, "saved": 0}',
    "keys: a list": text_of({**GOOD, "keys": ["a.ini"]}),
    "keys: numbers": text_of({**GOOD, "keys": {"a.ini": 5}}),
    "saved: a word": text_of({**GOOD, "saved": "now"}),
    "roll: a word": text_of({**GOOD, "roll": "x"}),
    "roll: empty": text_of({**GOOD, "roll": {}}),
    "roll: more": text_of({**GOOD, "roll": {**GOOD["roll"], "more": 1}}),
    "roll: unknown phase": text_of({**GOOD, "roll": {**GOOD["roll"], "vassals": {"a": {"phase": "flying"}}}}),
}


@pytest.mark.parametrize("raw", list(UNUSABLE.values()), ids=list(UNUSABLE))
def test_a_journal_that_cannot_be_used_is_set_aside_and_said(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    (tmp_path / "trigger.journal").write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        assert store.read_journal() == Journal()
    assert f"the journal {tmp_path}/trigger.journal cannot be used (" in caplog.text
    assert "set aside as trigger.journal.unusable" in caplog.text
    assert (tmp_path / "trigger.journal.unusable").read_bytes() == raw
    assert store.read_journal() is None


def test_a_journal_that_cannot_be_read_is_set_aside_too(store: Store, tmp_path: Path) -> None:
    obstruct(tmp_path / "trigger.journal")
    assert store.read_journal() == Journal()
    assert names(tmp_path) == {"trigger.journal.unusable"}


def test_a_journal_that_cannot_even_be_set_aside_is_said_and_no_crash(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "trigger.journal").write_text("{")
    obstruct(tmp_path / "trigger.journal.unusable")
    with caplog.at_level(logging.WARNING):
        assert store.read_journal() == Journal()
    assert "trigger.journal.unusable cannot be written" in caplog.text
    store.write_journal(Journal((1, 2), {}))
    assert store.read_journal() == Journal((1, 2), {})
