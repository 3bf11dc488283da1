"""What is chosen at one look, for all vassals together: no choice takes another one, or what was seen, back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    APP,
    a_progress,
    a_roll,
    a_snapshot,
    a_subscribed_vassal,
    known,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import planner
from uwsgi_reload_hook.planning.actions import Step, Subscribe, Touch, Unsubscribe
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import Result, Roll, Stage
from uwsgi_reload_hook.snapshot import ProcessFacts, Vassal

NOW = 50.0
DETAILS = ProcessFacts(reloads=0, touch_path="x")
AGAIN = replace(a_subscribed_vassal("a"), details=DETAILS)
"""Drained, and listed by its router again, because it has announced itself."""


def drained(there: Vassal = AGAIN) -> Progress:
    taken = a_progress(there.id, Phase.DRAINING, keys=APP, first_pid=there.pid, started=NOW, since=NOW)
    return unsubscribed(known(taken, there.pid, nodes=there.nodes), *there.nodes)


def rolling(*vassals: Progress, minimum: int, **given: object) -> Roll:
    return a_roll(*vassals, minimum={"app": minimum}, stage=Stage.ROLLING, **given)


def step(roll: Roll, *there: Vassal) -> Step:
    return planner.plan(a_snapshot(*there), roll, settings(canary=0, probe=None), NOW + 0.1)


def test_a_drained_vassal_that_announces_itself_is_unsubscribed_again() -> None:
    found = step(rolling(drained(), minimum=0), AGAIN, a_subscribed_vassal("b"))
    assert found.actions == (Unsubscribe("a", AGAIN.nodes),)


def test_a_recalled_vassal_is_not_unsubscribed_in_the_same_step() -> None:
    """`b` has died: `a` is needed again, and its announcement is what keeps the minimum."""
    found = step(rolling(drained(), minimum=1), AGAIN, a_subscribed_vassal("b", accepting=False))
    assert found.actions == (Subscribe("a", AGAIN.nodes),)
    assert found.roll.vassals["a"].phase is Phase.PENDING


def test_a_stopping_roll_gives_traffic_back_and_unsubscribes_nobody_again() -> None:
    failed = a_progress("z", Phase.FAILED, reason="it died", failure=Failure.DIED)
    found = step(rolling(drained(), failed, minimum=0), AGAIN, a_subscribed_vassal("z"))
    assert found.actions == (Subscribe("a", AGAIN.nodes),)
    assert (found.roll.result, found.roll.vassals["a"].phase) == (Result.FAILED, Phase.PENDING)


def test_no_vassal_gets_two_acts_that_undo_each_other() -> None:
    """Of three that are drained one is ready, one announces itself, and one is recalled."""
    others = [replace(a_subscribed_vassal(id_), details=DETAILS) for id_ in "bc"]
    gone = replace(others[0], nodes=())
    vassals = [drained(), drained(others[0]), drained(others[1])]
    found = step(rolling(*vassals, minimum=1), AGAIN, gone, others[1])
    assert found.actions == (Subscribe("c", others[1].nodes), Unsubscribe("a", AGAIN.nodes), Touch("b", "x", 1000))


@pytest.mark.parametrize(("passed", "result"), [(5.9, None), (6.0, Result.DONE)])
def test_the_deadline_ends_the_watch_of_a_canary_that_is_the_whole_roll(passed: float, result: Result | None) -> None:
    done = known(a_progress("a", Phase.DONE, keys=APP, finished=NOW), 7)
    roll = rolling(done, minimum=0, canary_done=NOW, started=NOW)
    given = settings(canary=1, canary_time=60.0, deadline=6.0)
    assert planner.plan(a_snapshot(a_subscribed_vassal("a")), roll, given, NOW + passed).roll.result is result


def test_a_vassal_that_is_drained_and_recalled_for_ever_ends_the_roll() -> None:
    """`b` dies at every other look, and is back at the next one."""
    roll = a_roll(a_progress("a", keys=APP, first_pid=7), minimum={"app": 1}, stage=Stage.ROLLING)
    given, seconds = settings(canary=0, probe=None, timeout=20.0), 0.0
    busy = replace(AGAIN, nodes=tuple(replace(node, ref=1) for node in AGAIN.nodes))
    seen_recalled = 0
    while roll.result is None:
        seconds += 1.0
        assert seconds < 100.0
        serves = a_subscribed_vassal("b", accepting=seconds % 2 == 1)
        roll = planner.plan(a_snapshot(busy, serves), roll, given, seconds).roll
        seen_recalled += roll.vassals["a"].phase is Phase.PENDING and roll.vassals["a"].was_recalled
    assert (roll.result, seen_recalled > 5) == (Result.TIMED_OUT, True)
