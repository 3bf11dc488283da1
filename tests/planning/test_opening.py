from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import a_snapshot, a_subscribed_vassal
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import opening
from uwsgi_reload_hook.planning.roll import Request, Result

S = 1_000_000_000
TOUCH = Request(mtime_ns=500 * S, changed_ns=500 * S)
NEW = replace(a_subscribed_vassal("a.ini"), pid=7, last_run=500, respawns=0)


def first_pid(vassal: object = NEW, request: Request = TOUCH, wall: float = 1000.0) -> int | None:
    """The pid whose reload the roll waits for; None = the process that runs is new code already."""
    other = replace(a_subscribed_vassal("b.ini"), pid=8, last_run=1)
    seen = replace(a_snapshot(vassal, other), wall=wall)  # type: ignore[arg-type]
    return opening.open_roll(seen, settings(), request, 0.0, opening.Memory()).vassals["a.ini"].first_pid


def test_a_vassal_that_was_started_after_the_touch_has_the_code_already() -> None:
    assert first_pid() is None


@pytest.mark.parametrize(
    ("vassal", "request_", "wall"),
    [
        pytest.param(replace(NEW, last_run=499), TOUCH, 1000.0, id="started before"),
        pytest.param(replace(NEW, respawns=1), TOUCH, 1000.0, id="reloaded, and maybe still loading"),
        pytest.param(NEW, replace(TOUCH, mtime_ns=500 * S + 1), 1000.0, id="within the second of the touch"),
        pytest.param(NEW, replace(TOUCH, mtime_ns=1, changed_ns=501 * S), 1000.0, id="the mtime was set back"),
        pytest.param(NEW, replace(TOUCH, mtime_ns=900 * S), 1000.0, id="the mtime was set to a later time"),
        pytest.param(NEW, Request(mtime_ns=1), 1000.0, id="it is not known when the file was changed"),
        pytest.param(NEW, TOUCH, 499.0, id="started in the future, as after a step of the clock"),
    ],
)
def test_a_vassal_is_rolled_that_may_have_the_old_code(vassal: object, request_: Request, wall: float) -> None:
    assert first_pid(vassal, request_, wall) == 7


def test_one_vassal_that_has_the_code_already_is_no_matter_of_the_minimum() -> None:
    seen = replace(a_snapshot(NEW), wall=1000.0)
    assert opening.open_roll(seen, settings(), TOUCH, 0.0, opening.Memory()).result is None
    old = replace(a_snapshot(replace(NEW, last_run=1)), wall=1000.0)
    assert opening.open_roll(old, settings(), TOUCH, 0.0, opening.Memory()).result is Result.REFUSED
