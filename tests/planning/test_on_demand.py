"""On-demand vassals in a roll: asleep is not dead, and dead is not asleep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.test_planner import NOW, opened, vassal
from tests.support.build import a_progress, a_roll, a_snapshot, a_vassal, known
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import evidence, planner, recovery
from uwsgi_reload_hook.planning.progress import Baseline, Phase
from uwsgi_reload_hook.planning.roll import Result, Stage
from uwsgi_reload_hook.snapshot import Vassal

BORN = 900
AWAKE = a_vassal("nap.ini", pid=7, on_demand=True, first_run=BORN, may_subscribe=False)
ASLEEP = replace(AWAKE, pid=-1, accepting=False)
REBORN = replace(ASLEEP, first_run=BORN + 50)
BEFORE = Baseline(pid=7, first_run=BORN)


@pytest.mark.parametrize(
    ("seen", "asleep"),
    [
        (ASLEEP, True),
        (AWAKE, False),
        (replace(ASLEEP, on_demand=False), False),
        (replace(ASLEEP, present=False), False),
        (replace(ASLEEP, cursed=True), False),
    ],
)
def test_asleep_is_listed_without_a_process_and_on_demand(seen: Vassal, *, asleep: bool) -> None:
    assert seen.is_asleep is asleep


@pytest.mark.parametrize("seen", [ASLEEP, replace(AWAKE, pid=8), replace(AWAKE, cursed=True)])
def test_a_vassal_under_the_entry_that_it_had_is_not_dead(seen: Vassal) -> None:
    assert evidence.why_dead(BEFORE, seen) == ""


@pytest.mark.parametrize("seen", [REBORN, replace(REBORN, pid=8, accepting=True)])
def test_a_vassal_under_another_entry_has_died(seen: Vassal) -> None:
    assert evidence.why_dead(BEFORE, seen)
    assert evidence.why_dead(BEFORE, replace(seen, on_demand=False, first_run=BORN))


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.DRAINING, Phase.TOUCHED, Phase.RESTARTING, Phase.WARMING])
def test_one_that_falls_asleep_leaves_the_roll_in_any_phase(phase: Phase) -> None:
    one = a_progress("nap.ini", phase, first_pid=7)._replace(before=BEFORE)
    roll = a_roll(one, stage=Stage.ROLLING)
    step = planner.plan(a_snapshot(ASLEEP), roll, settings(), NOW)
    assert step.roll.vassals["nap.ini"].phase is Phase.WITHDRAWN
    assert step.roll.vassals["nap.ini"].reason.startswith("it sleeps on demand")
    assert step.roll.result is Result.REFUSED, "nobody was rolled"


@pytest.mark.parametrize("phase", [Phase.TOUCHED, Phase.RESTARTING, Phase.WARMING, Phase.DONE])
def test_one_that_dies_of_its_new_code_fails_though_its_next_start_waits(phase: Phase) -> None:
    one = a_progress("nap.ini", phase, first_pid=7)._replace(before=BEFORE)
    step = planner.plan(a_snapshot(REBORN), a_roll(one, stage=Stage.ROLLING), settings(), NOW)
    assert step.roll.vassals["nap.ini"].phase is Phase.FAILED
    assert "the Emperor starts it again when something connects" in step.roll.vassals["nap.ini"].reason


@pytest.mark.parametrize("seen", [ASLEEP, replace(AWAKE, pid=9)])
def test_one_that_slept_after_it_was_done_stays_done(seen: Vassal) -> None:
    one = known(a_progress("nap.ini", Phase.DONE, finished=NOW), 7)
    roll = a_roll(one._replace(before=BEFORE), stage=Stage.ROLLING, emperor_pid=3)
    snapshot = a_snapshot(seen, emperor_pid=3)
    assert planner.plan(snapshot, roll, settings(canary=0), NOW + 9).roll.result is Result.DONE
    resumed = recovery.resume(roll, snapshot, settings(), NOW + 9).roll
    assert resumed.vassals["nap.ini"].phase is Phase.DONE


def test_a_vassal_that_was_down_and_sleeps_now_is_not_dead() -> None:
    assert evidence.why_dead(Baseline(pid=None), REBORN) == ""


def test_an_emperor_whose_vassals_no_touch_reloads_is_refused_whatever_they_are() -> None:
    why = "the Emperor runs uWSGI 2.0.27"
    for vassals in ([vassal(1), vassal(2)], []):
        roll = opened(a_snapshot(*vassals, emperor_problem=why))
        assert (roll.result, roll.reason) == (Result.REFUSED, why)
