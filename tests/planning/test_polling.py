"""How long the next look is waited for."""

from __future__ import annotations

import pytest

from tests.support.build import a_progress, a_roll, executed, loaded, touched, woken
from tests.support.rolling import settings
from uwsgi_reload_hook.planning.polling import CHANGE_EXPECTED, IMMEDIATELY, LOAD_ENDING, OVERDUE, interval
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Result


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
