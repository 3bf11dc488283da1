"""What is seen moves a vassal by one phase at most, whatever it is in."""

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
    known,
    taken,
    touched,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import planner
from uwsgi_reload_hook.planning.actions import Touch
from uwsgi_reload_hook.planning.observation import observe
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll, Stage
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import ProcessFacts, Snapshot, Vassal

NOW = 50.0
LIVE = a_node()


def seen_of(one: Progress, *there: Vassal, **given: object) -> Roll:
    snapshot: Snapshot = a_snapshot(*there)
    return observe(a_roll(one, **given), Context(snapshot, settings(), NOW))[0]


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_over])
def test_a_removed_config_withdraws_a_vassal_from_any_phase(phase: Phase) -> None:
    one = known(touched(taken(a_progress("a", phase, first_pid=7), NOW), NOW))
    gone = a_vassal("a", config_exists=False, cursed=True)
    assert seen_of(one, gone).vassals["a"].phase is Phase.WITHDRAWN
    assert seen_of(one, replace(gone, cursed=False)).vassals["a"].phase is not Phase.WITHDRAWN


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.is_over])
def test_what_is_over_is_not_withdrawn(phase: Phase) -> None:
    gone = a_vassal("a", config_exists=False, cursed=True)
    assert seen_of(known(a_progress("a", phase)), gone).vassals["a"].phase is phase


@pytest.mark.parametrize(
    ("there", "phase"),
    [
        (a_vassal("a", pid=8), Phase.RESTARTING),
        (a_vassal("a", pid=7), Phase.PENDING),
        (a_vassal("a", pid=0, accepting=False), Phase.PENDING),
        (a_vassal("a", pid=-1, accepting=False), Phase.PENDING),
        (a_vassal("a", pid=8, present=False, accepting=False), Phase.PENDING),
    ],
)
def test_a_pending_vassal_of_another_pid_runs_the_new_code_already(there: Vassal, phase: Phase) -> None:
    assert seen_of(a_progress("a", first_pid=7, keys=APP), there).vassals["a"].phase is phase


def test_a_pending_vassal_that_no_router_lists_is_noted_and_a_new_key_of_it_too() -> None:
    one = a_progress("a", first_pid=7, keys=APP)
    assert seen_of(one, a_vassal("a")).vassals["a"].unseen_since == NOW
    assert seen_of(one, a_subscribed_vassal("a", "app", "new")).vassals["a"].keys == APP | {"new"}
    foreign = a_subscribed_vassal("a", "app", "theirs", foreign_keys=frozenset({"theirs"}))
    assert seen_of(one, foreign).vassals["a"].keys == APP


def test_a_router_that_ignores_the_hook_lets_a_vassal_be_touched_at_the_same_look() -> None:
    one = known(a_progress("a", Phase.DRAINING, started=NOW - 2, first_pid=7, keys=APP), nodes=(LIVE,))
    one = unsubscribed(one, LIVE, looks=4)
    there = a_vassal("a", nodes=(LIVE,), details=ProcessFacts(touch_path="a"))
    roll = a_roll(one, a_progress("b", keys=APP, first_pid=7), stage=Stage.ROLLING)
    step = planner.plan(a_snapshot(there, a_subscribed_vassal("b")), roll, settings(), NOW)
    assert step.roll.ignored_by == {"router"}
    assert [action.path for action in step.actions if isinstance(action, Touch)] == ["a"]


def test_a_look_notes_the_routers_the_minimum_and_the_first_wave() -> None:
    done = known(a_progress("a", Phase.DONE, keys=APP))
    there = a_subscribed_vassal("a")
    roll = observe(
        a_roll(done, ignored_by=frozenset({"west"})), Context(a_snapshot(there, routers={"east": 3}), settings(), NOW)
    )[0]
    assert (roll.routers, roll.minimum) == ({"east": 3}, {"app": 1})
    assert (roll.canary_done, roll.ignored_by) == (NOW, frozenset({"west"}))
