"""A roll that is taken up, whose journal may be of a moment ago or of last year: who gets a packet, and who none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    APP,
    WALL,
    a_node,
    a_progress,
    a_roll,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    known,
    touched_at,
    unsubscribed,
    was_started_anew,
    with_vassals,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import planner, recovery
from uwsgi_reload_hook.planning.actions import ClearBlacklist, SendProbe, Step, Subscribe, Unsubscribe
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Mode, Result, Roll, Stage
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.snapshot import ProbeResult, Snapshot, Vassal

NOW = 50.0
NODE = a_node(address="127.0.0.1:4000")
OTHER = a_node(address="127.0.0.1:4001")
"""Where the vassal listens since it was started anew: its socket has another port each time."""
FLYING = [Phase.DRAINING, Phase.TOUCHED, Phase.RESTARTING, Phase.WARMING]


def left_in(phase: Phase) -> Roll:
    """A roll of three whose process was killed when `a` was in a phase; it had pid 101 and the socket of `NODE`."""
    taken = known(a_progress("a.ini", phase, keys=APP, first_pid=101), 101, nodes=(NODE,), last_mod=5)
    done = known(a_progress("b.ini", Phase.DONE, keys=APP, first_pid=200), 200)
    pending = known(a_progress("c.ini", keys=APP, first_pid=200), 200)
    return a_roll(unsubscribed(taken, NODE), done, pending, started=1.0, started_wall=WALL, minimum={"app": 1})


def seen(vassal: Vassal) -> Snapshot:
    return a_snapshot(vassal, a_vassal("b.ini", pid=200), a_vassal("c.ini", pid=200))


SAME = a_vassal("a.ini", pid=101, last_mod=5)
ANEW = a_vassal("a.ini", pid=666, last_mod=9, nodes=(OTHER,))
MISSING = Vassal("a.ini", present=False)
REMOVED = Vassal("a.ini", config_exists=False, present=False)
SERVING = replace(SAME, nodes=(NODE,))
MOVED = replace(SAME, last_mod=9, nodes=(replace(NODE, key="other"),))
"""Reloaded since by somebody else, with another key in its config."""
REMOVED_BUT_RUNNING = replace(SAME, config_exists=False)


def both(roll: Roll, snapshot: Snapshot) -> list[Step]:
    return [take(roll, snapshot, settings(), NOW) for take in (recovery.resume, recovery.restore)]


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.TOUCHED])
def test_a_vassal_that_was_drained_and_not_reloaded_gets_its_traffic_back(phase: Phase) -> None:
    for step in both(left_in(phase), seen(SAME)):
        assert step.actions == (Subscribe("a.ini", (NODE,)),)
        assert (step.roll.vassals["a.ini"].phase, step.roll.last_change) == (Phase.PENDING, NOW)


@pytest.mark.parametrize("vassal", [ANEW, MISSING, REMOVED, REMOVED_BUT_RUNNING])
@pytest.mark.parametrize("phase", FLYING)
def test_no_packet_is_sent_for_a_vassal_that_is_another_process_or_removed(phase: Phase, vassal: Vassal) -> None:
    for step in both(left_in(phase), seen(vassal)):
        assert not [action for action in step.actions if not isinstance(action, ClearBlacklist)]


def test_a_resumed_roll_starts_missing_vassals_and_counts_from_now() -> None:
    step = recovery.resume(left_in(Phase.RESTARTING), seen(MISSING), settings(), NOW)
    assert step.actions == (ClearBlacklist(("a.ini",)),)
    assert step.roll.last_change == NOW
    anew = step.roll.vassals["a.ini"]
    assert (anew.phase, was_started_anew(anew), touched_at(anew)) == (Phase.RESTARTING, True, NOW)


@pytest.mark.parametrize("phase", [Phase.RESTARTING, Phase.WARMING])
def test_a_touched_vassal_goes_on_in_its_phase(phase: Phase) -> None:
    for step in both(left_in(phase), seen(replace(SAME, last_mod=9))):
        assert step.actions == ()
        assert step.roll.vassals["a.ini"] == left_in(phase).vassals["a.ini"]


def test_a_done_vassal_that_is_another_process_by_now_is_waited_for_once_more() -> None:
    left = left_in(Phase.RESTARTING)
    for other, actions in (
        (Vassal("b.ini", pid=201), ()),
        (Vassal("b.ini", present=False), (ClearBlacklist(("b.ini",)),)),
    ):
        snapshot = seen(replace(SAME, last_mod=9))
        snapshot = replace(snapshot, vassals={**snapshot.vassals, "b.ini": other})
        step = recovery.resume(left, snapshot, settings(), NOW)
        anew = step.roll.vassals["b.ini"]
        assert step.actions == actions
        assert (anew.phase, was_started_anew(anew), anew.times.finished) == (Phase.RESTARTING, True, None)


def test_vassals_that_serve_again_when_a_roll_is_resumed_are_probed_in_service() -> None:
    """All were started anew while no hook was there: to take them out of the router at once would end the site."""
    given = settings(probe=Probe("/"), canary_time=0.0)
    vassals = [a_subscribed_vassal(id_, pid=666) for id_ in ("a.ini", "b.ini", "c.ini")]
    snapshot = a_snapshot(*vassals)
    step = recovery.resume(left_in(Phase.RESTARTING), snapshot, given, NOW)
    actions = list(step.actions)
    for _ in range(3):
        step = planner.plan(snapshot, step.roll, given, NOW)
        actions += step.actions
    assert not [action for action in actions if isinstance(action, Unsubscribe)]
    assert {action.vassal for action in actions if isinstance(action, SendProbe)} == set(snapshot.vassals)
    answered = a_snapshot(*(replace(one, probe=ProbeResult(good=True, words="")) for one in vassals))
    for _ in range(3):
        step = planner.plan(answered, step.roll, given, NOW)
    assert step.roll.result is Result.DONE


def test_a_done_vassal_whose_config_is_gone_stays_done() -> None:
    left = left_in(Phase.RESTARTING)
    snapshot = seen(replace(SAME, last_mod=9))
    gone = Vassal("b.ini", config_exists=False, present=False)
    step = recovery.resume(left, replace(snapshot, vassals={**snapshot.vassals, "b.ini": gone}), settings(), NOW)
    assert step.roll.vassals["b.ini"].phase is Phase.DONE


def test_a_vassal_that_lacks_one_of_its_keys_is_not_back_yet() -> None:
    roll = left_in(Phase.DRAINING)
    two = roll.vassals["a.ini"]._replace(keys=APP | {"web"})
    web = replace(SAME, nodes=(replace(NODE, key="web"),))
    step = recovery.restore(replace(roll, vassals={"a.ini": two}), seen(web), settings(), NOW)
    assert step.actions == (Subscribe("a.ini", (NODE,)),)


def test_a_vassal_without_a_router_is_back_when_it_accepts() -> None:
    roll = left_in(Phase.RESTARTING)
    keyless = replace(roll, vassals={"a.ini": roll.vassals["a.ini"]._replace(keys=frozenset())})
    for accepting, left in ((True, set()), (False, {"a.ini"})):
        step = recovery.restore(keyless, seen(replace(SAME, last_mod=9, accepting=accepting)), settings(), NOW)
        assert set(step.roll.vassals) == left


def test_a_restored_roll_holds_only_the_vassals_that_were_out() -> None:
    step = recovery.restore(left_in(Phase.RESTARTING), seen(replace(SAME, last_mod=9)), settings(), NOW)
    assert set(step.roll.vassals) == {"a.ini"}
    assert step.roll.mode is Mode.RESTORE


@pytest.mark.parametrize("vassal", [ANEW, MISSING, REMOVED, SERVING, MOVED])
def test_a_journal_from_long_ago_is_over_at_the_first_look(vassal: Vassal) -> None:
    snapshot = seen(vassal)
    step = recovery.restore(left_in(Phase.WARMING), snapshot, settings(), NOW)
    step = planner.plan(snapshot, step.roll, settings(), NOW)
    assert step.actions == ()
    assert step.roll.result is Result.INTERRUPTED


def test_a_removed_vassal_is_withdrawn_from_the_roll_that_goes_on() -> None:
    step = recovery.resume(left_in(Phase.DRAINING), seen(REMOVED), settings(), NOW)
    step = planner.plan(seen(REMOVED), step.roll, settings(), NOW)
    assert step.roll.vassals["a.ini"].phase is Phase.WITHDRAWN


@pytest.mark.parametrize(("emperor", "phase"), [(7, Phase.FAILED), (8, Phase.RESTARTING), (0, Phase.RESTARTING)])
def test_a_done_vassal_that_died_stops_the_roll_unless_its_emperor_died_too(emperor: int, phase: Phase) -> None:
    left = replace(left_in(Phase.DONE), emperor_pid=7 if emperor else 0)
    died = replace(seen(a_vassal("a.ini", pid=666, nodes=(NODE,))), emperor_pid=emperor)
    step = recovery.resume(left, died, settings(), NOW)
    assert step.roll.vassals["a.ini"].phase is phase
    assert step.roll.emperor_pid == emperor
    if phase is Phase.FAILED:
        assert planner.plan(died, step.roll, settings(), NOW).roll.stopping is Result.FAILED


@pytest.mark.parametrize(
    ("before", "first", "same"), [(101, None, True), (101, 99, True), (None, 101, True), (99, 101, False)]
)
def test_the_expected_process_is_the_touched_one_or_else_the_first(
    before: int | None, first: int | None, *, same: bool
) -> None:
    left = known(a_progress("a.ini", Phase.RESTARTING, keys=APP, first_pid=first), before)
    step = recovery.resume(a_roll(left), seen(SAME), settings(), NOW)
    assert was_started_anew(step.roll.vassals["a.ini"]) is not same


def test_a_done_vassal_that_is_as_it_was_is_left_alone_when_a_roll_is_resumed() -> None:
    left = replace(left_in(Phase.RESTARTING), emperor_pid=7)
    step = recovery.resume(left, replace(seen(replace(SAME, last_mod=9)), emperor_pid=7), settings(), NOW)
    assert step.roll.vassals == left.vassals


def test_a_resumed_roll_waits_for_a_noticed_touch_and_sends_an_unanswered_probe() -> None:
    noticed = recovery.resume(left_in(Phase.TOUCHED), seen(replace(SAME, last_mod=6)), settings(), NOW)
    assert (noticed.roll.vassals["a.ini"].phase, noticed.actions) == (Phase.TOUCHED, ())
    left = left_in(Phase.WARMING)
    one = left.vassals["a.ini"]
    asked = one._replace(warmup=one.warmup._replace(probed=1.0, awaits_answer=True))
    step = recovery.resume(with_vassals(left, asked), seen(SAME), settings(), NOW)
    assert step.actions == (SendProbe("a.ini", (NODE,)),)
    assert step.roll.vassals["a.ini"].warmup.probed == NOW


def test_a_resumed_roll_sees_again() -> None:
    step = recovery.resume(replace(left_in(Phase.RESTARTING), blind_since=3.0), seen(SAME), settings(), NOW)
    assert (step.roll.blind_since, step.look.wait) == (None, 0.0)


def test_a_restored_roll_says_what_follows_and_has_no_result_yet() -> None:
    left = replace(left_in(Phase.RESTARTING), stopping=Result.FAILED, reason="v9.ini: it died")
    roll = recovery.restore(left, seen(replace(SAME, last_mod=9)), settings(), NOW).roll
    assert (roll.stopping, roll.reason) == (None, "a whole roll follows")


def test_a_resumed_roll_that_has_taken_nobody_may_still_be_refused() -> None:
    roll = a_roll(a_progress("a.ini", keys=APP, first_pid=201), stage=Stage.WAITING, minimum={"app": 1})
    snapshot = a_snapshot(a_subscribed_vassal("a.ini", pid=201))
    resumed = recovery.resume(roll, snapshot, settings(), NOW).roll
    assert resumed.stage is Stage.WAITING
    assert planner.plan(snapshot, resumed, settings(), NOW).roll.result is Result.REFUSED
