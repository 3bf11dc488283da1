"""When the first wave is done, and how long it has to live."""

from __future__ import annotations

import pytest

from tests.support.build import a_progress, a_roll
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import canary
from uwsgi_reload_hook.planning.progress import Phase

NOW = 50.0


@pytest.mark.parametrize(
    ("size", "done", "withdrawn", "noted"),
    [
        (1, 0, 0, False),
        (1, 1, 0, True),
        (2, 1, 0, False),
        (9, 2, 0, False),
        (9, 3, 0, True),
        (9, 1, 2, True),
        (0, 3, 0, False),
    ],
)
def test_the_first_wave_is_done_when_its_last_vassal_is(size: int, done: int, withdrawn: int, *, noted: bool) -> None:
    phases = [Phase.DONE] * done + [Phase.WITHDRAWN] * withdrawn + [Phase.PENDING] * (3 - done - withdrawn)
    roll = a_roll(*(a_progress(str(number), phase) for number, phase in enumerate(phases)))
    after = canary.note(roll, settings(canary=size), NOW)
    assert after.canary_done == (NOW if noted else None)
    assert canary.note(after, settings(canary=size), NOW + 1) == after, "it is noted once"


def test_a_roll_whose_vassals_are_all_withdrawn_has_no_first_wave() -> None:
    assert canary.note(a_roll(a_progress("a", Phase.WITHDRAWN)), settings(), NOW).canary_done is None


def test_the_first_wave_is_watched_for_its_time() -> None:
    given = settings(canary_time=4.0)
    roll = a_roll(canary_done=NOW, started=7.0)
    assert canary.seconds_left(a_roll(), given, NOW) == 0.0
    assert [canary.seconds_left(roll, given, NOW + passed) for passed in (0.0, 3.0, 4.0, 5.0)] == [4.0, 1.0, 0.0, 0.0]
    assert canary.watched_until(roll, given) == NOW + 4
    assert canary.watched_until(roll, settings(canary_time=0.0)) == 7.0
    assert canary.watched_until(a_roll(started=7.0), given) == 7.0


def test_the_next_proof_is_that_of_the_oldest_vassal_still_watched() -> None:
    done = [a_progress(str(age), Phase.DONE, finished=NOW - age) for age in (1.0, 3.0, 4.0, 9.0)]
    failed = a_progress("failed", Phase.FAILED, finished=NOW - 3.5)
    assert canary.next_proof(a_roll(*done, failed), settings(canary_time=4.0), NOW) == 1.0
    assert canary.next_proof(a_roll(*done[2:], failed), settings(canary_time=4.0), NOW) is None
    assert canary.next_proof(a_roll(*done), settings(canary_time=0.0), NOW) is None
    assert canary.next_proof(a_roll(*done), settings(canary=0), NOW) is None
