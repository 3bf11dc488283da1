"""What looks like a finished reload and is none, and clocks that jump."""

from __future__ import annotations

import pytest

from tests.support.rolling import Outcome, a_site, run, settings
from uwsgi_reload_hook.planning.actions import Touch
from uwsgi_reload_hook.settings import Minimum


def done_with_new_code(outcome: Outcome) -> bool:
    return outcome.result == "done" and all(one.code_since >= 0 for one in outcome.site.vassals.values())


def test_a_late_byte_of_an_earlier_start_is_not_taken_for_the_end_of_the_reload() -> None:
    made = a_site()
    first = made.vassals["v1.ini"]

    def late() -> None:
        first.accepting = True

    for moment in (0.1, 0.3, 0.8):
        made.at(moment, late)
    outcome = run(made, settings())
    assert done_with_new_code(outcome)
    entry = outcome.roll["vassals"]["v1.ini"]
    assert entry["finished"] - entry["touched"] >= first.load


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.9, 2.5, 4.0])
def test_a_reload_that_the_emperor_did_not_deliver_delays_and_no_more(moment: float) -> None:
    made = a_site(4, 2)
    other = made.vassals["v3.ini"]
    made.at(moment, lambda: made.reload(other))
    outcome = run(made, settings(minimum_active_vassals=Minimum(2)))
    assert done_with_new_code(outcome)


@pytest.mark.parametrize("moment", [0.02, 0.5, 1.5, 2.1, 3.0])
@pytest.mark.parametrize("jump", [-3600.0, -1.0, 1.0, 30.0, 3600.0])
def test_a_wall_clock_that_jumps_delays_a_roll_and_breaks_no_promise(jump: float, moment: float) -> None:
    made = a_site()

    def leap() -> None:
        made.wall_jump = jump

    made.at(moment, leap)
    outcome = run(made, settings())
    assert done_with_new_code(outcome)
    assert outcome.seconds < 2 * 2.0 + 12.0, "at most until everybody has announced itself again"


@pytest.mark.parametrize("fraction", [-0.25, 0.0, 0.35, 0.74, 0.749])
def test_a_touch_is_newer_than_the_last_on_either_side_of_a_second(fraction: float) -> None:
    made = a_site()
    made.wall_jump = fraction
    for one in made.vassals.values():
        one.mtime = one.last_mod = int(made.wall())  # started, or touched, in this very second
    outcome = run(made, settings(), rolls=1)
    assert done_with_new_code(outcome)
    before = int(1_000_000.25 + fraction)
    mtimes = [action.mtime for _, action in made.performed if isinstance(action, Touch)]
    assert all(mtime is not None and mtime > before for mtime in mtimes)


def test_a_config_from_the_future_is_touched_beyond_that() -> None:
    made = a_site()
    future = int(made.wall()) + 5000
    for one in made.vassals.values():
        one.mtime = one.last_mod = future
    outcome = run(made, settings())
    assert done_with_new_code(outcome)
    assert {action.mtime for _, action in made.performed if isinstance(action, Touch)} == {future + 1}
