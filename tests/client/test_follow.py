from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.build import a_progress, a_roll
from uwsgi_reload_hook.client.follow import Follower, touch
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.store import HookInfo, Store, roll_document, status_document
from uwsgi_reload_hook.site.trigger import parse_text

ALIVE = HookInfo.of_this_process("mule")
GONE = replace(ALIVE, pid=2**22 + 1)
SUCCESSOR = replace(ALIVE, start_ticks=(ALIVE.start_ticks or 0) - 1)
"""Its pid is another process's by now."""
OURS = 5_000


def roll(id_: str, mtime_ns: int, phase: Phase, result: Result | None = None, reason: str = "") -> Roll:
    vassal = a_progress("a.ini", phase, reason="so it is")
    return a_roll(vassal, id=id_, request=Request(mtime_ns), result=result, reason=reason)


EARLIER = roll("1", OURS - 1, Phase.DONE, Result.DONE)
BEGUN = roll("2", OURS, Phase.DRAINING)
DONE = roll("2", OURS, Phase.DONE, Result.DONE)
NEXT = roll("3", OURS + 1, Phase.DRAINING)


class Desk:
    """A hook's files, and somebody who follows them; `later` is what is written after each change that he is told."""

    def __init__(self, directory: Path, *later: Callable[[], None]) -> None:
        self.store = Store(directory, "trigger")
        self.told: list[str] = []
        self.trigger = directory / "trigger"
        self._later = list(later)

    def write(self, shown: Roll | None, hook: HookInfo = ALIVE) -> None:
        self.store.write_status(status_document("idle", hook, None if shown is None else roll_document(shown)))

    def follower(self) -> Follower:
        return Follower(self.trigger, None, lambda id_, entry: self._changed(f"{id_} {entry['phase']}"))

    def _changed(self, words: str) -> None:
        self.told.append(words)
        if self._later:
            self._later.pop(0)()

    def then(self, *later: Callable[[], None]) -> None:
        self._later.extend(later)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("result", "code"), [(Result.DONE, 0), (Result.FAILED, 1), (Result.TIMED_OUT, 3), (Result.REFUSED, 5)]
)
def test_the_outcome_is_the_exit_code_with_its_reason(desk: Desk, result: Result, code: int) -> None:
    follower = desk.follower()
    desk.write(roll("2", OURS, Phase.DONE, result, "for a reason"), GONE)
    assert follower.follow(OURS, None) == (code, f"{result.value}: 1 of 1 vassals reloaded; for a reason")
    assert desk.told == ["a.ini done"]


def test_each_change_is_told_once(desk: Desk) -> None:
    follower = desk.follower()
    desk.write(BEGUN)
    desk.then(
        lambda: desk.write(roll("2", OURS, Phase.RESTARTING)),
        lambda: desk.write(DONE),
    )
    assert follower.follow(OURS, 10)[0] == 0
    assert desk.told == ["a.ini draining", "a.ini restarting", "a.ini done"]


def test_an_earlier_roll_is_not_the_answer_and_a_later_one_is(desk: Desk) -> None:
    desk.write(EARLIER)
    follower = desk.follower()
    assert follower.follow(OURS, 0.0) == (3, "the roll has not ended in 0 s; it goes on")
    assert desk.told == []
    desk.write(roll("3", OURS + 1, Phase.DONE, Result.DONE))
    assert follower.follow(OURS, 10)[0] == 0


def test_a_roll_that_ended_before_the_touch_is_no_answer_even_with_the_clock_ahead(desk: Desk) -> None:
    ahead = roll("1", OURS + 1, Phase.DONE, Result.DONE)
    desk.store.append_history(roll_document(ahead))
    desk.write(ahead)
    follower = desk.follower()
    assert follower.follow(OURS, 0.0)[0] == 3
    desk.write(DONE)
    assert follower.follow(OURS, 10)[0] == 0


def test_a_roll_that_ended_between_two_looks_is_found_in_the_history(desk: Desk) -> None:
    follower = desk.follower()
    desk.write(BEGUN)

    def ends_and_the_next_begins() -> None:
        desk.store.append_history(roll_document(DONE))
        desk.write(NEXT)

    desk.then(ends_and_the_next_begins)
    assert follower.follow(OURS, 10) == (0, "done: 1 of 1 vassals reloaded")
    assert desk.told == ["a.ini draining", "a.ini done"]


def test_an_interrupted_roll_is_waited_for(desk: Desk) -> None:
    follower = desk.follower()
    desk.write(BEGUN)
    desk.then(
        lambda: desk.write(roll("2", OURS, Phase.PENDING, Result.INTERRUPTED)),
    )
    assert follower.follow(OURS, 0.3)[0] == 3
    desk.write(DONE)
    assert follower.follow(OURS, 10)[0] == 0


@pytest.mark.parametrize("hook", [None, GONE, SUCCESSOR])
def test_without_a_living_hook_that_is_the_answer(desk: Desk, hook: HookInfo | None) -> None:
    if hook is not None:
        desk.write(EARLIER, hook)
    began = time.monotonic()
    code, words = desk.follower().follow(OURS, 30)
    assert code == 4
    assert "no hook is running" in words
    assert 1 < time.monotonic() - began < 10


def test_a_hook_whose_process_cannot_be_seen_is_known_by_what_it_writes(desk: Desk) -> None:
    desk.write(EARLIER, GONE)
    follower = desk.follower()
    desk.write(BEGUN, GONE)
    assert follower.follow(OURS, 1.5)[0] == 3


@pytest.mark.parametrize("step", [-1e9, -7200.0, 7200.0, 1e12])
def test_a_hook_lives_however_far_the_wall_clock_has_stepped_since_it_began(desk: Desk, step: float) -> None:
    desk.write(EARLIER, replace(ALIVE, started=ALIVE.started + step))
    assert desk.follower().read().hook_pid == os.getpid()


@pytest.mark.parametrize(
    "hook",
    [
        pytest.param(SUCCESSOR, id="its pid is another process's by now"),
        pytest.param(replace(ALIVE, boot_id="another"), id="of another boot"),
        pytest.param(replace(ALIVE, boot_id=""), id="of a boot that is not known"),
        pytest.param(replace(ALIVE, start_ticks=None), id="of an earlier version"),
        pytest.param(GONE, id="gone"),
    ],
)
def test_a_process_that_is_not_the_very_one_is_no_living_hook(desk: Desk, hook: HookInfo) -> None:
    desk.write(EARLIER, hook)
    assert desk.follower().read().hook_pid is None


def test_a_status_without_the_ticks_of_its_hook_is_of_nobody_who_is_known_to_live(desk: Desk) -> None:
    document = status_document("idle", ALIVE, None)
    del document["hook"]["start_ticks"], document["hook"]["boot_id"]
    desk.store.write_status(document)
    assert desk.follower().read().hook_pid is None


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '{"hook": 5, "roll": []}', '{"hook": {"pid": "x"}}'])
def test_a_status_file_that_cannot_be_used_is_as_good_as_none(desk: Desk, text: str) -> None:
    desk.trigger.with_name("trigger.status.json").write_text(text)
    status = desk.follower().read()
    assert (status.hook_pid, status.roll) == (None, None)


def test_a_touch_is_one_whatever_the_file_was_before(tmp_path: Path) -> None:
    trigger = tmp_path / "trigger"
    for said in ({}, {"message": "hello", "only": "a*"}, {}, {}):
        before = trigger.stat().st_mtime_ns if trigger.exists() else 0
        mtime = touch(trigger, said)
        assert mtime == trigger.stat().st_mtime_ns
        assert mtime > before
        assert parse_text(trigger.read_text()) == said
    assert [path.name for path in tmp_path.iterdir()] == ["trigger"]
