"""How a roll moves from stage to stage, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    APP,
    a_node,
    a_progress,
    a_roll,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    ended,
    known,
    touched,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import planner, recovery, stages
from uwsgi_reload_hook.planning.actions import Step, Subscribe, Touch
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress, Warmup
from uwsgi_reload_hook.planning.roll import Mode, Result, Roll, Stage
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.settings import Minimum
from uwsgi_reload_hook.snapshot import ProbeResult, ProcessFacts, Snapshot, Vassal

NOW = 50.0
LOADS = a_vassal("a", accepting=False)
SERVES = a_subscribed_vassal("a")


def out(id_: str, phase: Phase = Phase.RESTARTING) -> Progress:
    return known(touched(a_progress(id_, phase, keys=APP, first_pid=7, since=NOW), at=NOW))


def pending(id_: str) -> Progress:
    return a_progress(id_, keys=APP, first_pid=7)


def seen(*others: Vassal) -> Snapshot:
    """`a` loads, and `b` to `d` serve, unless they are given."""
    there = {one.id: one for one in (LOADS, *map(a_subscribed_vassal, "bcd"))}
    return a_snapshot(*({**there, **{one.id: one for one in others}}).values())


def step(roll: Roll, snapshot: Snapshot | None = None) -> Step:
    return planner.plan(snapshot or seen(), roll, settings(canary=0), NOW)


@pytest.mark.parametrize(
    ("before", "phases", "after"),
    [
        (Stage.WAITING, (Phase.RESTARTING, Phase.PENDING), Stage.ROLLING),
        (Stage.WAITING, (Phase.PENDING, Phase.PENDING), Stage.WAITING),
        (Stage.WAITING, (Phase.RESTARTING, Phase.DONE), Stage.WINDING_DOWN),
        (Stage.ROLLING, (Phase.RESTARTING, Phase.PENDING), Stage.ROLLING),
        (Stage.ROLLING, (Phase.DRAINING, Phase.DONE), Stage.ROLLING),
        (Stage.ROLLING, (Phase.WARMING, Phase.DONE), Stage.WINDING_DOWN),
        (Stage.WINDING_DOWN, (Phase.WARMING, Phase.PENDING), Stage.WINDING_DOWN),
        (Stage.ROLLING, (Phase.DONE, Phase.PENDING), Stage.ROLLING),
        (Stage.ROLLING, (Phase.DONE, Phase.WITHDRAWN), Stage.OVER),
    ],
)
def test_a_roll_is_in_the_stage_of_its_vassals(before: Stage, phases: tuple[Phase, ...], after: Stage) -> None:
    roll = a_roll(*(ended(a_progress(id_, phase), 0.0) for id_, phase in zip("bc", phases, strict=True)), stage=before)
    context = Context(seen(), settings(), NOW)
    assert stages.advance(replace(roll, last_change=NOW), roll, context).stage is after


def test_a_stopping_roll_takes_and_touches_nobody_until_the_last_is_back() -> None:
    roll = a_roll(out("a"), out("b"), pending("c"), pending("d"), stage=Stage.ROLLING, minimum={"app": 0})
    died = a_subscribed_vassal("b", pid=8)
    for _ in range(2):
        found = step(roll, seen(died))
        roll = found.roll
        assert found.actions == ()
        assert (roll.stage, roll.stopping, roll.result) == (Stage.WINDING_DOWN, Result.FAILED, None)
    assert [one.phase for one in roll.vassals.values()] == [Phase.RESTARTING, Phase.FAILED, *[Phase.PENDING] * 2]


def test_a_failed_roll_says_what_became_of_the_traffic_of_its_vassal() -> None:
    asked = known(a_progress("a", Phase.WARMING, keys=APP))._replace(warmup=Warmup(probed=NOW, awaits_answer=True))
    bad = replace(SERVES, probe=ProbeResult(good=False, words="500"))
    both = settings(canary=0, minimum_active_vassals=Minimum(2))
    found = planner.plan(a_snapshot(bad, a_subscribed_vassal("b")), a_roll(asked, pending("b")), both, NOW).roll
    assert (found.result, found.stopping) == (Result.FAILED, Result.FAILED)
    assert found.reason == ("a: the probe failed: 500; it keeps its traffic, because the minimum of app needs it")


def test_a_resumed_roll_that_was_stopping_takes_nobody() -> None:
    left = a_roll(out("a"), pending("c"), stopping=Result.FAILED, stage=Stage.ROLLING, minimum={"app": 0})
    resumed = recovery.resume(left, seen(), settings(canary=0), NOW).roll
    assert (resumed.stage, resumed.stopping) == (Stage.WINDING_DOWN, Result.FAILED)
    assert step(resumed).roll.vassals["c"].phase is Phase.PENDING
    going = recovery.resume(replace(left, stopping=None), seen(), settings(canary=0), NOW).roll
    assert going.stage is Stage.ROLLING
    assert step(going).roll.vassals["c"].phase is Phase.DRAINING


def test_a_restore_gives_traffic_back_and_touches_nobody() -> None:
    drained = a_vassal("b", details=ProcessFacts(touch_path="b"))
    node = a_node()
    left = a_roll(out("a"), unsubscribed(out("b", Phase.DRAINING), node), stopping=Result.FAILED, minimum={"app": 0})
    there = seen(drained)
    restored = recovery.restore(left, there, settings(), NOW)
    assert restored.actions == (Subscribe("b", (node,)),)
    roll = restored.roll
    assert (roll.mode, roll.stage, roll.stopping) == (Mode.RESTORE, Stage.WINDING_DOWN, None)
    again = step(roll, there)
    assert not [action for action in again.actions if isinstance(action, Touch)]
    assert {id_: one.phase for id_, one in again.roll.vassals.items()} == {"a": Phase.RESTARTING, "b": Phase.PENDING}
    assert again.roll.stage is Stage.WINDING_DOWN


def test_a_restore_in_which_a_vassal_fails_keeps_its_reason_and_is_interrupted() -> None:
    left = recovery.restore(a_roll(out("a"), out("b")), seen(a_vassal("b", accepting=False)), settings(), NOW).roll
    dead = step(left, seen(a_vassal("b", pid=8, accepting=False))).roll
    assert (dead.vassals["b"].failure, dead.stopping, dead.result) == (Failure.DIED, None, None)
    assert dead.reason == "a whole roll follows"
    ended = step(dead, seen(a_vassal("a", pid=8), a_vassal("b", pid=8))).roll
    assert (ended.result, ended.stage, ended.reason) == (Result.INTERRUPTED, Stage.OVER, "a whole roll follows")


def test_a_refused_roll_is_over() -> None:
    alone = a_roll(pending("a"), minimum={"app": 1})
    assert step(alone, a_snapshot(SERVES)).roll.stage is Stage.OVER


def test_only_a_roll_that_has_taken_nobody_can_be_refused() -> None:
    waits, snapshot = a_roll(pending("a"), minimum={"app": 1}), a_snapshot(SERVES)
    assert step(waits, snapshot).roll.result is Result.REFUSED
    joined = step(waits, a_snapshot(replace(SERVES, pid=8))).roll
    assert (joined.stopping, joined.vassals["a"].phase) == (None, Phase.RESTARTING), "the Emperor has started it anew"
    assert step(replace(waits, stage=Stage.ROLLING), snapshot).roll.stopping is None


@pytest.mark.parametrize(
    ("accepting", "listed", "waited", "result"),
    [
        (True, False, 8.0, None),
        (True, False, 11.9, None),
        (True, False, 12.0, Result.TIMED_OUT),
        (True, True, 8.0, Result.TIMED_OUT),
        (False, False, 8.0, Result.TIMED_OUT),
        (True, True, 7.9, None),
    ],
)
def test_a_stalled_roll_gives_a_done_vassal_time_to_announce_itself(
    waited: float, result: Result | None, *, accepting: bool, listed: bool
) -> None:
    done = known(ended(a_progress("a", Phase.DONE, keys=APP), 0.0))
    there = a_vassal("a", accepting=accepting, nodes=SERVES.nodes if listed else ())
    roll = a_roll(done, pending("b"), stage=Stage.ROLLING, minimum={"app": 9}, last_change=NOW - waited)
    context = Context(seen(there), settings(timeout=8.0), NOW)
    assert stages.advance(roll, roll, context).result is result


def test_a_done_vassal_that_dies_stops_the_roll_at_once() -> None:
    roll = a_roll(known(a_progress("a", Phase.DONE, keys=APP)), pending("b"), stage=Stage.ROLLING)
    found = step(roll, seen(a_vassal("a", pid=8))).roll
    assert (found.result, found.stage) == (Result.FAILED, Stage.OVER)
    removed = a_vassal("a", config_exists=False, present=False, accepting=False)
    assert step(roll, seen(removed)).roll.stopping is None
