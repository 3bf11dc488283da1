"""Why a vassal fails, as programs read that: each way to fail has its kind."""

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
from uwsgi_reload_hook.planning import planner, recovery
from uwsgi_reload_hook.planning.actions import Subscribe
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress, Warmup
from uwsgi_reload_hook.planning.roll import Stage
from uwsgi_reload_hook.snapshot import ProbeResult, ProcessFacts, Vassal

NOW, TIMEOUT = 50.0, 20.0
NODE = a_node()
SERVES, OTHER = a_subscribed_vassal("a"), a_subscribed_vassal("b")
SILENT = a_vassal("a", nodes=(replace(NODE, death_mark=True),), last_mod=1)
LOADS = replace(SILENT, accepting=False)


def in_phase(phase: Phase, *, since: float = NOW) -> Progress:
    """One of pid 7, taken and touched at `since`, and unsubscribed."""
    one = known(a_progress("a", phase, since=since, keys=APP, first_pid=7), nodes=(NODE,), last_mod=1)
    return unsubscribed(touched(taken(one, since), since), NODE)


def probed(*, answered: bool) -> Vassal:
    return replace(SERVES, probe=ProbeResult(good=False, words="500") if answered else None)


ASKED = in_phase(Phase.WARMING)._replace(warmup=Warmup(probed=NOW, awaits_answer=True))
LATE = NOW - TIMEOUT


@pytest.mark.parametrize(
    ("one", "there", "kind", "words"),
    [
        (in_phase(Phase.DRAINING), replace(SILENT, pid=8), Failure.DIED, "died by itself while it was drained"),
        (in_phase(Phase.TOUCHED), replace(SILENT, pid=8), Failure.DIED, "died (pid 7)"),
        (in_phase(Phase.RESTARTING), replace(SILENT, pid=8), Failure.DIED, "died (pid 7)"),
        (in_phase(Phase.WARMING), replace(SERVES, pid=8), Failure.DIED, "died (pid 7)"),
        (in_phase(Phase.DONE), replace(SERVES, pid=8), Failure.DIED, "after it was done: died (pid 7)"),
        (in_phase(Phase.RESTARTING, since=LATE), LOADS, Failure.TIMEOUT, "does not accept requests"),
        (in_phase(Phase.WARMING, since=LATE), SILENT, Failure.TIMEOUT, "is not subscribed again under app"),
        (in_phase(Phase.WARMING, since=LATE), replace(SERVES, accepting=False), Failure.TIMEOUT, "stopped accepting"),
        (touched(ASKED, LATE), probed(answered=False), Failure.TIMEOUT, "has not answered the probe"),
        (ASKED, probed(answered=True), Failure.PROBE, "the probe failed: 500"),
        (
            in_phase(Phase.TOUCHED, since=NOW - 2)._replace(unnoticed_looks=4),
            SILENT,
            Failure.UNNOTICED,
            "the Emperor did not notice the touch",
        ),
        (
            in_phase(Phase.DRAINING),
            replace(SILENT, details=ProcessFacts(touch_problem="it is a socket")),
            Failure.REFUSED,
            "it is a socket",
        ),
    ],
)
def test_each_way_to_fail_has_its_kind_and_its_words(one: Progress, there: Vassal, kind: Failure, words: str) -> None:
    roll = a_roll(one, a_progress("b", keys=APP), stage=Stage.ROLLING, minimum={"app": 0})
    step = planner.plan(a_snapshot(there, OTHER), roll, settings(timeout=TIMEOUT), NOW)
    failed = step.roll.vassals["a"]
    given_back = kind in {Failure.UNNOTICED, Failure.REFUSED}
    assert (Subscribe("a", (NODE,)) in step.actions, failed.drain.unsubscribed == ()) == (given_back, given_back)
    assert (failed.phase, failed.failure) == (Phase.FAILED, kind)
    assert failed.reason.startswith(words)


def test_a_done_vassal_that_died_while_no_hook_was_there_has_died() -> None:
    roll = a_roll(in_phase(Phase.DONE), emperor_pid=9)
    seen = a_snapshot(replace(SERVES, pid=8), emperor_pid=9)
    failed = recovery.resume(roll, seen, settings(), NOW).roll.vassals["a"]
    assert (failed.phase, failed.failure) == (Phase.FAILED, Failure.DIED)


def test_an_unnoticed_touch_is_waited_for_five_looks_and_two_seconds() -> None:
    for looks, age in ((3, 2.0), (4, 1.9)):
        one = in_phase(Phase.TOUCHED, since=NOW - age)._replace(unnoticed_looks=looks)
        waits = planner.plan(a_snapshot(SILENT), a_roll(one), settings(), NOW).roll.vassals["a"]
        assert (waits.phase, waits.unnoticed_looks) == (Phase.TOUCHED, looks + 1)
