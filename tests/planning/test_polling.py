"""How long the next look is waited for."""

from __future__ import annotations

import pytest

from tests.support.build import (
    a_progress,
    a_roll,
    a_snapshot,
    executed,
    loaded,
    started_anew,
    touched,
    woken,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning.actions import Touch, WakeMaster
from uwsgi_reload_hook.planning.polling import (
    CHANGE_EXPECTED,
    IMMEDIATELY,
    LOAD_ENDING,
    OVERDUE,
    REST,
    interval,
    look_after,
    next_look,
)
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Result
from uwsgi_reload_hook.planning.transitions import Context


@pytest.mark.parametrize(
    ("phase", "age", "wait"),
    [
        (Phase.DRAINING, 0.5, CHANGE_EXPECTED),
        (Phase.DRAINING, 1.0, OVERDUE),
        (Phase.DRAINING, 0.0, IMMEDIATELY),
        (Phase.TOUCHED, 0.0, IMMEDIATELY),
        (Phase.WARMING, 0.0, IMMEDIATELY),
        (Phase.RESTARTING, 0.0, CHANGE_EXPECTED),
        (Phase.TOUCHED, 0.5, CHANGE_EXPECTED),
        (Phase.RESTARTING, 0.5, CHANGE_EXPECTED),
        (Phase.WARMING, 0.5, CHANGE_EXPECTED),
        (Phase.WARMING, 5.0, OVERDUE),
        (Phase.PENDING, 0.5, 0.1),
        (Phase.DONE, 0.5, 0.1),
    ],
)
def test_what_takes_milliseconds_is_looked_at_often_while_it_is_young(phase: Phase, age: float, wait: float) -> None:
    assert interval(a_roll(a_progress("v1.ini", phase, since=10.0)), settings(), 10.0 + age) == wait


def loading() -> Progress:
    return executed(touched(a_progress("v1.ini", Phase.RESTARTING, since=10.0), at=10.0))


@pytest.mark.parametrize(("age", "wait"), [(0.1, CHANGE_EXPECTED), (1.0, 0.025), (3.0, 0.075), (9.0, 0.1)])
def test_a_load_of_unknown_length_is_looked_at_in_proportion_to_what_it_has_taken(age: float, wait: float) -> None:
    assert interval(a_roll(loading()), settings(), 10.0 + age) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("age", "wait"), [(0.5, 0.1), (1.85, 0.05), (1.95, LOAD_ENDING), (2.1, LOAD_ENDING), (3.0, 0.075)]
)
def test_the_load_time_of_another_vassal_tells_when_to_look_closely(age: float, wait: float) -> None:
    known = loaded(a_progress("v0.ini", Phase.DONE), 2.0)
    slower = loaded(a_progress("v2.ini", Phase.DONE), 4.0)
    assert interval(a_roll(known, slower, loading()), settings(), 10.0 + age) == pytest.approx(wait)


def test_the_last_roll_tells_it_for_the_first_of_this_one() -> None:
    before = a_roll(loading(), usual_load=2.0)
    assert interval(before, settings(), 11.95) == LOAD_ENDING
    known = a_roll(loading(), loaded(a_progress("v0.ini", Phase.DONE), 1.0), usual_load=2.0)
    assert interval(known, settings(), 11.95) == pytest.approx(1.95 * 0.025), "its own tell better"


def test_a_load_that_became_shorter_is_seen_a_check_interval_late() -> None:
    assert interval(a_roll(loading(), usual_load=60.0), settings(), 11.0) == 0.1


def test_a_master_that_was_woken_is_given_a_moment() -> None:
    for phase, wait in ((Phase.RESTARTING, OVERDUE), (Phase.WARMING, CHANGE_EXPECTED)):
        assert interval(a_roll(woken(a_progress("v1.ini", phase, since=10.0))), settings(), 10.1) == wait


def test_the_most_urgent_vassal_decides_and_the_check_interval_is_the_longest_wait() -> None:
    young = a_progress("v3.ini", Phase.TOUCHED, since=19.9)
    assert interval(a_roll(loading(), young), settings(), 20.0) == CHANGE_EXPECTED
    assert interval(a_roll(loading()), settings(check_interval=0.04), 20.0) == 0.04


def test_a_roll_that_is_over_waits_for_nothing() -> None:
    assert interval(a_roll(loading(), result=Result.DONE), settings(), 20.0) == 0.0


def test_a_slow_read_of_the_stats_is_rested_from_unless_a_touch_was_made() -> None:
    context = Context(a_snapshot(emperor_seconds=0.5), settings(), 20.0)
    roll = a_roll(a_progress("v1.ini", Phase.TOUCHED, since=20.0))
    assert next_look((WakeMaster("v1.ini", 7),), roll, context).wait == 0.5 * REST
    assert next_look((WakeMaster("v1.ini", 7), Touch("v1.ini", "v1.ini", None)), roll, context).wait == IMMEDIATELY
    quick = Context(a_snapshot(emperor_seconds=0.001), settings(), 20.5)
    assert next_look((), roll, quick).wait == CHANGE_EXPECTED


@pytest.mark.parametrize(("looks", "wait"), [(0, CHANGE_EXPECTED), (1, IMMEDIATELY), (2, CHANGE_EXPECTED)])
def test_the_look_after_the_one_that_made_the_emperor_scan_is_not_waited_for(looks: int, wait: float) -> None:
    one = a_progress("v1.ini", Phase.TOUCHED, since=19.9, unnoticed_looks=looks)
    assert interval(a_roll(one), settings(), 20.0) == wait
    assert interval(a_roll(one._replace(phase=Phase.DRAINING)), settings(), 20.0) == CHANGE_EXPECTED


def test_a_load_counts_from_its_restart_where_that_is_known() -> None:
    known = touched(executed(a_progress("v1.ini", Phase.RESTARTING, since=18.0)), at=17.0)
    assert interval(a_roll(known), settings(), 20.0) == pytest.approx(0.075)
    unknown = known._replace(times=known.times._replace(restarted=None))
    assert interval(a_roll(unknown), settings(), 20.0) == pytest.approx(0.05)


def test_the_next_proof_of_a_first_wave_is_looked_at_in_time() -> None:
    done = a_progress("v1.ini", Phase.DONE, finished=18.03)
    assert interval(a_roll(done), settings(canary_time=2.0), 20.0) == pytest.approx(0.03)


def test_whoever_has_to_prove_its_image_is_inspected() -> None:
    loads = a_progress("", Phase.RESTARTING)
    mules = loads._replace(before=loads.before._replace(accepts=False))
    looked = [("old", loads), ("re", executed(loads)), ("mules", executed(mules)), ("new", started_anew(mules))]
    drains = a_progress("drains", Phase.DRAINING)
    for waits, inspected in ((False, ("drains", "mules")), (True, ("drains", "old", "re", "mules", "new"))):
        there = [one._replace(id=name) for name, one in looked if waits or name != "old"]
        look = look_after(3.0, a_roll(drains, *there))
        assert (look.wait, look.inspect, look.inspect_if_accepting) == (3.0, inspected, ("re", "mules"))
