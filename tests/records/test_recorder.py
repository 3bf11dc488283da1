from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build import APP, a_node, a_progress, a_roll, a_snapshot, a_vassal, in_phase, loaded, with_vassals
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Result
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.log import log_event
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.status import HookInfo
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.records.store import Store
from uwsgi_reload_hook.snapshot import Snapshot

FIRST = Request(mtime_ns=5_000_000_000, inode=1, message="first")
LATER = Request(mtime_ns=6_000_000_000, inode=1)
ROLL = a_roll(
    a_progress("a.ini", since=100.0, keys=APP),
    a_progress("b.ini", since=100.0, keys=APP),
    id="5-1",
    request=FIRST,
    started=100.0,
    started_wall=2000.0,
    excluded={"hook.ini": "the hook's own vassal"},
    minimum={"app": 1},
)
DRAINING = with_vassals(ROLL, a_progress("a.ini", Phase.DRAINING, since=100.5, reason="unsubscribed", keys=APP))


class Desk:
    """A directory with the files of a trigger, and the hooks that write there one after another."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def hook(self) -> Recorder:
        store = Store(self.directory, "trigger")
        status = StatusFile(store, HookInfo(7, "mule", "0.1", 0.0))
        return Recorder(store, (log_event, status, History(store.append_history)))

    def status(self) -> dict[str, Any]:
        document = json.loads((self.directory / "trigger.status.json").read_text())
        assert isinstance(document, dict)
        return document

    def history(self) -> list[dict[str, Any]]:
        path = self.directory / "trigger.history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def inodes(self) -> dict[str, int]:
        """Which change with every write."""
        return {path.name: path.stat().st_ino for path in self.directory.iterdir()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO):
        yield caplog


def seen(**keys: str) -> Snapshot:
    """A look: each vassal and the keys under which routers list it."""
    return a_snapshot(
        *(
            a_vassal(f"{name}.ini", accepting=False, nodes=tuple(a_node(key=key) for key in under.split()))
            for name, under in keys.items()
        ),
    )


def test_at_the_first_start_ever_the_trigger_as_it_is_counts_as_acted_on(desk: Desk) -> None:
    hook = desk.hook()
    assert hook.resume(FIRST, 0.0) is None
    assert not hook.is_new(FIRST)
    assert not hook.is_new(None)
    assert desk.status()["state"] == "idle"
    assert desk.status()["roll"] is None


@pytest.mark.parametrize("before", [None, FIRST], ids=["no trigger", "an older one"])
def test_a_touch_while_a_first_hook_ever_waits_for_its_sockets_or_the_lock_is_news(
    desk: Desk, before: Request | None
) -> None:
    hook = desk.hook()
    hook.waits(before)
    assert hook.resume(LATER, 0.0) is None
    assert hook.is_new(LATER)
    assert not hook.is_new(before)


def test_a_touch_while_a_hook_stands_by_is_news_to_the_process_after_it_too(desk: Desk) -> None:
    desk.hook().waits(FIRST)
    second = desk.hook()
    second.waits(LATER)
    second.resume(LATER, 0.0)
    assert second.is_new(LATER)


def test_a_touch_while_a_first_hook_waits_is_news_though_no_journal_can_be_written(desk: Desk) -> None:
    hook = desk.hook()
    desk.directory.rmdir()
    hook.waits(FIRST)
    desk.directory.mkdir()
    hook.resume(LATER, 0.0)
    assert hook.is_new(LATER)


def test_a_hook_that_waits_changes_nothing_of_what_the_one_before_it_knew(desk: Desk) -> None:
    first = desk.hook()
    first.resume(FIRST, 0.0)
    first.begun(ROLL, 0.0)
    before = (desk.directory / "trigger.journal").read_bytes()
    second = desk.hook()
    second.waits(LATER)
    assert (desk.directory / "trigger.journal").read_bytes() == before
    assert second.resume(LATER, 0.0) is not None
    assert second.is_new(LATER)


def test_after_an_unusable_journal_a_waiting_hook_rolls_once_more_too(desk: Desk) -> None:
    (desk.directory / "trigger.journal").write_text("{")
    hook = desk.hook()
    hook.waits(FIRST)
    hook.resume(FIRST, 0.0)
    assert hook.is_new(FIRST)


@pytest.mark.parametrize(("trigger", "lines"), [(FIRST, 1), (None, 0)])
def test_a_touch_before_the_first_start_ever_is_said_to_be_void(
    desk: Desk, log: pytest.LogCaptureFixture, trigger: Request | None, lines: int
) -> None:
    for _ in range(2):
        desk.hook().waits(trigger)
    assert log.text.count("touch again to roll") == lines


@pytest.mark.parametrize(
    "change",
    [LATER, replace(FIRST, mtime_ns=1), replace(FIRST, inode=2), replace(FIRST, mtime_ns=FIRST.mtime_ns + 1)],
    ids=["later", "dated back", "replaced with its mtime kept", "by a nanosecond"],
)
def test_a_change_of_the_trigger_is_news_to_a_running_hook_and_to_the_next_one(desk: Desk, change: Request) -> None:
    first = desk.hook()
    first.resume(FIRST, 0.0)
    assert first.is_new(change)
    second = desk.hook()
    second.resume(change, 0.0)
    assert second.is_new(change)
    assert not second.is_new(FIRST)


def test_a_trigger_that_was_made_while_the_hook_was_down_is_news(desk: Desk) -> None:
    desk.hook().resume(None, 0.0)
    second = desk.hook()
    second.resume(FIRST, 0.0)
    assert second.is_new(FIRST)


def test_other_text_alone_is_no_news(desk: Desk) -> None:
    hook = desk.hook()
    hook.resume(FIRST, 0.0)
    assert not hook.is_new(replace(FIRST, message="other", only="x"))


def test_after_an_unusable_journal_the_touch_is_rolled_once_more_rather_than_lost(desk: Desk) -> None:
    (desk.directory / "trigger.journal").write_text("{")
    hook = desk.hook()
    hook.resume(FIRST, 0.0)
    assert hook.is_new(FIRST)


def test_a_roll_that_begins_is_on_record_before_anything_is_done(desk: Desk, log: pytest.LogCaptureFixture) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    hook.begun(ROLL, 0.0125)
    assert desk.status()["state"] == "rolling"
    assert desk.status()["roll"]["vassals"]["a.ini"]["phase"] == "pending"
    assert not desk.history()
    assert log.messages == [
        "hook.ini is left alone: the hook's own vassal",
        "roll 5-1 begins, 0.013 s after the touch (first): 2 vassals, of which must serve: 1 of app",
    ]


def test_a_killed_hooks_roll_and_keys_reach_the_next_hook_in_that_ones_own_time(desk: Desk) -> None:
    first = desk.hook()
    first.resume(None, 100.0)
    first.begun(ROLL, 0.0)
    first.moved(ROLL, DRAINING, 100.5)
    second = desk.hook()
    unfinished = second.resume(FIRST, 10.5)
    assert unfinished is not None
    assert unfinished.started == 10.0
    assert unfinished.vassals["a.ini"] == DRAINING.vassals["a.ini"]._replace(since=10.5)
    assert second.is_new(FIRST)
    assert second.known_keys == {"a.ini": frozenset({"app"}), "b.ini": frozenset({"app"})}
    second.resumed(unfinished, unfinished, 10.5)
    assert desk.status()["state"] == "rolling"


def test_a_step_that_changes_nothing_is_not_written(desk: Desk, log: pytest.LogCaptureFixture) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    hook.begun(ROLL, 0.0)
    before = desk.inodes()
    log.clear()
    blind = replace(ROLL, blind_since=5.0)
    hook.moved(ROLL, blind, 101.0)
    hook.acted(blind)
    assert desk.inodes() == before
    assert not log.messages


def test_each_change_of_phase_is_told_with_the_phase_before_and_the_reason(
    desk: Desk, log: pytest.LogCaptureFixture
) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    log.clear()
    hook.moved(ROLL, DRAINING, 100.5)
    assert log.messages == ["a.ini: pending -> draining after 0.50 s: unsubscribed"]
    assert desk.status()["roll"] is None, "the acts come first"
    hook.acted(DRAINING)
    assert desk.status()["roll"]["vassals"]["a.ini"]["phase"] == "draining"


def test_a_failure_and_the_stop_of_the_roll_are_errors(desk: Desk, log: pytest.LogCaptureFixture) -> None:
    failed = DRAINING.vassals["a.ini"]._replace(phase=Phase.FAILED, since=102.0, reason="it died")
    stopped = replace(with_vassals(ROLL, failed), stopping=Result.FAILED, reason="a.ini: it died")
    hook = desk.hook()
    hook.resume(None, 0.0)
    log.clear()
    hook.moved(DRAINING, stopped, 102.0)
    hook.moved(stopped, stopped, 103.0)
    assert [(record.levelname, record.getMessage()) for record in log.records] == [
        ("ERROR", "a.ini: draining -> failed after 1.50 s: it died"),
        ("ERROR", "roll 5-1 stops: a.ini: it died. No further vassal is reloaded; those out of service are finished"),
    ]


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (Result.DONE, "idle"),
        (Result.FAILED, "held"),
        (Result.TIMED_OUT, "held"),
        (Result.REFUSED, "held"),
    ],
)
def test_a_roll_that_ends_is_acted_on_and_stays_on_record_whoever_looks(desk: Desk, result: Result, state: str) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    assert hook.is_new(FIRST)
    hook.begun(ROLL, 0.0)
    ended = replace(ROLL, result=result, reason="because", finished=104.0)
    hook.ended(ended, 104.0)
    assert not hook.is_new(FIRST)
    assert hook.is_new(LATER)
    assert [roll["result"] for roll in desk.history()] == [result.value]
    status = desk.status()
    assert (status["state"], status["roll"]["result"]) == (state, result.value)
    assert (status["roll"]["started"], status["roll"]["finished"]) == (2000.0, 2004.0)

    second = desk.hook()
    assert second.resume(FIRST, 0.0) is None
    assert not second.is_new(FIRST)
    assert desk.status() == status
    assert len(desk.history()) == 1


def test_a_roll_that_is_interrupted_goes_on_with_the_next_hook(desk: Desk) -> None:
    first = desk.hook()
    first.resume(None, 100.0)
    first.begun(ROLL, 0.0)
    reason = "the hook was stopped"
    first.ended(replace(DRAINING, result=Result.INTERRUPTED, reason=reason, finished=101.0), 101.0)
    assert (desk.status()["state"], desk.status()["roll"]["result"]) == ("idle", "interrupted")
    assert not desk.history()
    second = desk.hook()
    assert second.resume(FIRST, 101.0) == DRAINING


def test_the_end_of_a_roll_is_told_in_one_line(desk: Desk, log: pytest.LogCaptureFixture) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    log.clear()
    roll = with_vassals(in_phase(ROLL, a=Phase.DONE, b=Phase.FAILED), a_progress("c.ini"))
    hook.ended(replace(roll, result=Result.FAILED, reason="b.ini: it died", finished=101.5), 101.5)
    hook.ended(replace(ROLL, result=Result.DONE, finished=101.5), 101.5)
    bad, good = log.records
    assert bad.levelname == "ERROR"
    assert (
        "failed: b.ini: it died. Reloaded: 1; failed: b.ini; not touched, still on the old code: c.ini." in bad.message
    )
    assert good.levelname == "INFO"
    assert good.message.startswith("roll 5-1 is done after 1.50 s")


def test_the_quickest_load_of_a_roll_is_known_to_the_next_one_and_to_the_next_hook(desk: Desk) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    unknown = hook.usual_load
    assert unknown is None
    a, b = loaded(a_progress("a.ini", Phase.DONE), 3.0), loaded(a_progress("b.ini", Phase.DONE), 2.5)
    over = replace(ROLL, result=Result.DONE, finished=101.0)
    hook.ended(with_vassals(over, a, b, a_progress("c.ini")), 101.0)
    assert hook.usual_load == 2.5
    hook.ended(replace(over, vassals={}), 102.0)
    second = desk.hook()
    second.resume(FIRST, 0.0)
    assert second.usual_load == 2.5, "a roll without a load tells nothing new"


def test_the_keys_of_a_vassal_outlast_its_nodes_and_are_replaced_when_they_change(desk: Desk) -> None:
    hook = desk.hook()
    hook.resume(None, 0.0)
    flying = replace(ROLL, vassals={"b.ini": a_progress("b.ini", Phase.DRAINING)})
    hook.saw(seen(a="x y", b="x"), replace(ROLL, vassals={}))
    hook.saw(seen(a="", b="y"), flying)
    assert hook.known_keys["b.ini"] == {"x"}, "a vassal in flight may have lost some of its nodes to the roll"
    hook.saw(seen(a="", b="z"), replace(ROLL, vassals={}))
    expected = {"a.ini": frozenset({"x", "y"}), "b.ini": frozenset({"z"})}
    assert hook.known_keys == expected
    hook.ended(replace(ROLL, result=Result.DONE, finished=101.0), 101.0)
    second = desk.hook()
    second.resume(FIRST, 0.0)
    assert second.known_keys == expected
