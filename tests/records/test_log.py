"""What the log says of a roll, where the whole rolls of other tests do not hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.build import a_progress, a_roll
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Result
from uwsgi_reload_hook.records.events import RollClosed, RollStopping
from uwsgi_reload_hook.records.log import log_event

if TYPE_CHECKING:
    import pytest

BLIND = a_roll(
    a_progress("a.ini", Phase.RESTARTING),
    a_progress("b.ini"),
    stopping=Result.FAILED,
    result=Result.FAILED,
    reason="for 60 s, the stats cannot be read",
    finished=70.0,
)


def test_a_roll_that_ends_at_once_does_not_promise_to_finish_anybody(caplog: pytest.LogCaptureFixture) -> None:
    log_event(RollStopping(BLIND))
    assert caplog.messages == []


def test_the_end_of_a_roll_names_the_vassals_that_were_being_reloaded(caplog: pytest.LogCaptureFixture) -> None:
    log_event(RollClosed(BLIND))
    (line,) = caplog.messages
    assert "not touched, still on the old code: b.ini; in the middle of their reload: a.ini. Fix the cause" in line
