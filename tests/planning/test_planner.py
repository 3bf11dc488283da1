"""The planner by itself: single steps, where a whole roll would hide what is said or when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    WALL,
    a_node,
    a_snapshot,
    a_subscribed_vassal,
    ended,
    in_phase,
    known,
    owed,
    taken,
    touched,
    unsubscribed,
    was_woken,
    with_vassals,
)
from tests.support.rolling import WatchedSite, a_site, run, settings
from uwsgi_reload_hook.planning import limits, opening, planner, stages
from uwsgi_reload_hook.planning.actions import Subscribe, WakeMaster
from uwsgi_reload_hook.planning.polling import CHANGE_EXPECTED, IMMEDIATELY
from uwsgi_reload_hook.planning.progress import Failure, Phase
from uwsgi_reload_hook.planning.roll import Request, Result, Roll, Stage
from uwsgi_reload_hook.settings import Minimum, Settings
from uwsgi_reload_hook.snapshot import MERCY, ProcessFacts, Snapshot, Vassal

NOW = 50.0


def vassal(number: int, **given: object) -> Vassal:
    return a_subscribed_vassal(f"v{number}.ini", **{"pid": 100 + number, **given})


def opened(seen: Snapshot, given: Settings | None = None) -> Roll:
    return opening.open_roll(seen, given or settings(), Request(1), NOW, opening.Memory())


@pytest.mark.parametrize(("count", "words"), [(1, "key app has 1 vassal and"), (2, "key app has 2 vassals and")])
def test_a_refusal_says_key_count_and_minimum(count: int, words: str) -> None:
    seen = a_snapshot(*(vassal(number) for number in range(count)))
    roll = opened(seen, settings(minimum_active_vassals=Minimum(count)))
    assert roll.result is Result.REFUSED
    assert (roll.stage, roll.finished) == (Stage.OVER, NOW)
    assert words in roll.reason
    assert f"the minimum is {count}," in roll.reason


def test_a_node_of_nobody_refuses_the_roll_where_it_may_be_a_vassal_without_nodes() -> None:
    seen = a_snapshot(vassal(1), vassal(2), vassal(3, nodes=()), unowned=frozenset({"127.0.0.1:9", "127.0.0.1:8"}))
    roll = opened(seen)
    assert roll.result is Result.REFUSED
    assert "127.0.0.1:8" in roll.reason
    assert "v3.ini" in roll.reason
    assert opened(replace(seen, vassals={"v1.ini": vassal(1), "v2.ini": vassal(2)})).result is None


def test_a_node_of_nobody_is_harmless_where_the_nodeless_vassal_subscribes_nowhere() -> None:
    silent = vassal(3, nodes=(), may_subscribe=False)
    assert opened(a_snapshot(vassal(1), vassal(2), silent, unowned=frozenset({"/tmp/nobody"}))).result is None


def test_a_vassal_that_is_down_may_yet_serve_the_key_that_lacks_vassals() -> None:
    seen = a_snapshot(vassal(1), vassal(2, present=False, nodes=(), accepting=False))
    assert opened(seen).result is None


def test_the_minimum_follows_vassals_that_come_during_the_roll() -> None:
    given = settings(minimum_active_vassals=Minimum(50, percent=True))
    roll = opened(a_snapshot(*(vassal(number) for number in range(4))), given)
    assert roll.minimum == {"app": 2}
    more = a_snapshot(*(vassal(number) for number in range(6)))
    assert planner.plan(more, roll, given, NOW + 1).roll.minimum == {"app": 3}


def test_every_vassal_that_failed_at_one_look_is_named() -> None:
    seen = a_snapshot(vassal(1), vassal(2), vassal(3))
    roll = in_phase(opened(seen), v1=Phase.RESTARTING, v2=Phase.RESTARTING)
    roll = with_vassals(roll, *(known(one, 1) for one in roll.vassals.values()))
    step = planner.plan(seen, roll, settings(), NOW + 1)
    assert step.roll.result is Result.FAILED
    assert step.roll.finished == NOW + 1
    one, two = step.roll.reason.split("; v2.ini")
    assert one.startswith("v1.ini: died (pid 1)")
    assert two.startswith(": died (pid 1)")


@pytest.mark.parametrize(("passed", "result"), [(19.9, None), (20.0, Result.TIMED_OUT)])
def test_the_deadline_counts_from_the_beginning_of_the_roll(passed: float, result: Result | None) -> None:
    seen = a_snapshot(vassal(1), vassal(2))
    given = settings(deadline=20.0)
    roll = replace(opened(seen, given), last_change=NOW + 19)
    # nobody can be taken: the roll only waits
    lonely = a_snapshot(vassal(1), vassal(2, nodes=(), accepting=False, cursed=True))
    step = planner.plan(lonely, roll, given, NOW + passed)
    assert step.roll.result is result
    assert (step.roll.reason == "the deadline of 20 s was reached") is (result is not None)


def stuck() -> WatchedSite:
    """Three vassals of which two must serve; the first to be reloaded loses its place in the router afterwards."""
    site = a_site(3, 2, each={"load": 1.0})
    first = site.vassals["v1.ini"]

    def lose() -> None:
        first.deaf_router = True
        first.nodes.clear()

    site.at(1.5, lose)
    return site


def test_a_roll_without_room_waits_for_the_timeout_and_says_who_waits_and_why() -> None:
    site = stuck()
    outcome = run(site, settings(minimum_active_vassals=Minimum(2), canary_time=0.0, timeout=20.0))
    assert outcome.result == "timed-out"
    assert outcome.phases() == {"v1.ini": "done", "v2.ini": "done", "v3.ini": "pending"}
    assert outcome.roll["reason"] == "no room for v3.ini within 20 s (serving under app: 2 of 2 needed)"
    moved = max(entry["since"] for entry in outcome.roll["vassals"].values())
    assert 20.0 <= outcome.roll["finished"] - moved < 20.3


def test_a_roll_without_room_goes_on_when_there_is_room_again() -> None:
    site = stuck()
    first = site.vassals["v1.ini"]

    def come_back() -> None:
        first.deaf_router = False
        site.announce(first)

    site.at(15.0, come_back)
    assert run(site, settings(minimum_active_vassals=Minimum(2), timeout=20.0)).result == "done"


def test_a_vassal_that_is_out_is_no_stall_however_long_it_takes() -> None:
    site = a_site(2, 1, each={"load": 18.0})
    assert run(site, settings(timeout=20.0)).result == "done"


@pytest.mark.parametrize("timeout", [5.0, 9.0])
def test_a_vassal_stuck_in_its_start_is_touched_after_the_timeout(timeout: float) -> None:
    site = a_site(3, 1, each={"load": 1.0}, v1={"accepting": False})
    outcome = run(site, settings(timeout=timeout), known_keys={"v1.ini": frozenset({"app"})})
    assert outcome.result == "done"
    first = next(when for when, action in site.performed if getattr(action, "vassal", "") == "v1.ini")
    assert timeout <= first < timeout + 0.3
    assert outcome.touched()[0] == "v1.ini", "the best canary is waited for"


@pytest.mark.parametrize(("may_subscribe", "keys"), [(True, {"app"}), (False, set())])
def test_the_keys_of_earlier_looks_count_unless_the_config_says_otherwise(
    *, may_subscribe: bool, keys: set[str]
) -> None:
    seen = a_snapshot(vassal(1, nodes=(), may_subscribe=may_subscribe), vassal(2), vassal(3))
    roll = opening.open_roll(seen, settings(), Request(1), NOW, opening.Memory({"v1.ini": frozenset({"app"})}))
    assert roll.vassals["v1.ini"].keys == keys


def test_an_interruption_gives_back_what_was_drained_and_says_why() -> None:
    seen = a_snapshot(vassal(1), vassal(2))
    roll = in_phase(opened(seen), v1=Phase.DRAINING)
    nodes = seen.vassals["v1.ini"].nodes
    roll = with_vassals(roll, unsubscribed(roll.vassals["v1.ini"], *nodes))
    step = planner.end_at_once(roll, NOW + 3, Result.INTERRUPTED, "the hook was stopped")
    assert step.actions == (Subscribe("v1.ini", nodes),)
    assert (step.roll.stopping, step.roll.result, step.roll.finished) == (None, Result.INTERRUPTED, NOW + 3)
    assert step.roll.reason == "the hook was stopped"
    back = step.roll.vassals["v1.ini"]
    assert (back.phase, back.since, owed(back)) == (Phase.PENDING, NOW + 3, ())
    assert back.reason == "given its traffic back: the hook was stopped"


@pytest.mark.parametrize(
    ("asked", "result", "stop"),
    [(Result.FAILED, Result.TIMED_OUT, Result.TIMED_OUT), (Result.INTERRUPTED, Result.INTERRUPTED, Result.TIMED_OUT)],
)
def test_a_roll_that_was_stopped_before_keeps_the_reason_of_that(asked: Result, result: Result, stop: Result) -> None:
    roll = stages.stop(opened(a_snapshot(vassal(1), vassal(2))), Result.TIMED_OUT, "the deadline was reached")
    step = planner.end_at_once(roll, NOW + 3, asked, "nothing can be seen")
    assert (step.roll.result, step.roll.stopping) == (result, stop)
    assert (step.roll.reason, step.roll.finished) == ("the deadline was reached", NOW + 3)


def test_a_roll_that_nothing_has_stopped_takes_the_reason_given() -> None:
    step = planner.end_at_once(opened(a_snapshot(vassal(1), vassal(2))), NOW + 3, Result.FAILED, "nothing can be seen")
    assert (step.roll.result, step.roll.stopping, step.roll.reason) == (
        Result.FAILED,
        Result.FAILED,
        "nothing can be seen",
    )


def test_a_refused_act_counts_as_a_change() -> None:
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))), v1=Phase.TOUCHED)
    step = planner.fail_vassal(roll, "v1.ini", "no permission", NOW + 4)
    assert step.roll.last_change == NOW + 4
    failed = step.roll.vassals["v1.ini"]
    assert (failed.phase, failed.failure, failed.times.finished) == (Phase.FAILED, Failure.REFUSED, NOW + 4)


def test_a_failure_gives_drained_vassals_their_traffic_back_with_its_reason() -> None:
    first, second, third = vassal(1), vassal(2), vassal(3)
    roll = in_phase(opened(a_snapshot(first, second, third)), v1=Phase.RESTARTING, v2=Phase.DRAINING)
    restarts, drains = roll.vassals["v1.ini"], taken(roll.vassals["v2.ini"], NOW)
    roll = with_vassals(roll, known(restarts, 1), unsubscribed(known(drains, second.pid), *second.nodes))
    gone = replace(second, nodes=(), details=ProcessFacts(reloads=0, touch_path="x"))
    step = planner.plan(a_snapshot(first, gone, third), roll, settings(), NOW + 2)
    assert step.actions == (Subscribe("v2.ini", second.nodes),), "and no touch, though it was drained"
    back = step.roll.vassals["v2.ini"]
    assert (back.phase, back.since) == (Phase.PENDING, NOW + 2)
    assert back.reason.startswith("given its traffic back: v1.ini: died")
    assert (step.roll.result, step.roll.finished) == (Result.FAILED, NOW + 2)


def test_a_vassal_that_dies_while_drained_keeps_the_others_from_being_touched() -> None:
    first, second, third = vassal(1), vassal(2), vassal(3)
    roll = in_phase(opened(a_snapshot(first, second, third)), v1=Phase.DRAINING, v2=Phase.DRAINING)
    for one in (first, second):
        drains = known(taken(roll.vassals[one.id], NOW), one.pid)
        roll = with_vassals(roll, unsubscribed(drains, *one.nodes))
    details = ProcessFacts(reloads=0, touch_path="x")
    dead, gone = replace(first, pid=666, nodes=()), replace(second, nodes=(), details=details)
    step = planner.plan(a_snapshot(dead, gone, third), roll, settings(), NOW + 2)
    assert step.actions == (Subscribe("v2.ini", second.nodes),), "and no touch, though it was drained"
    assert step.roll.vassals["v1.ini"].phase is Phase.FAILED
    assert step.roll.vassals["v2.ini"].phase is Phase.PENDING


def test_a_vassal_that_accepts_but_has_lost_its_router_is_the_best_canary_at_once() -> None:
    lost = vassal(3, nodes=())
    seen = a_snapshot(vassal(1), vassal(2), lost)
    roll = opening.open_roll(seen, settings(), Request(1), NOW, opening.Memory({"v3.ini": frozenset({"app"})}))
    step = planner.plan(seen, roll, settings(), NOW)
    phases = {id_: one.phase for id_, one in step.roll.vassals.items()}
    assert phases == {"v1.ini": Phase.PENDING, "v2.ini": Phase.PENDING, "v3.ini": Phase.DRAINING}


def test_a_roll_begins_with_everybody_pending_and_says_who_is_left_alone() -> None:
    down = vassal(2, present=False, accepting=False, pid=0, nodes=())
    seen = a_snapshot(
        vassal(1),
        down,
        vassal(3, exclusion="it hosts a router"),
        vassal(4, config_exists=False, cursed=True),
        vassal(5),
        vassal(6),
        vassal(7, id="x.xml"),
    )
    given = settings(vassals=("v[123467]*", "x*"), vassal_config_file_suffix=(".ini", ".yaml"))
    roll = opening.open_roll(seen, given, Request(1, only="[vx][12346.]*"), NOW, opening.Memory())
    assert roll.id == "1-1000000"
    assert (roll.started, roll.last_change, roll.started_wall) == (NOW, NOW, WALL)
    assert roll.key_routers == {"app": {"router"}}
    assert {id_: (one.phase, one.since, one.first_pid) for id_, one in roll.vassals.items()} == {
        "v1.ini": (Phase.PENDING, NOW, 101),
        "v2.ini": (Phase.PENDING, NOW, None),
        "v6.ini": (Phase.PENDING, NOW, 106),
    }
    assert roll.excluded == {
        "v3.ini": "it hosts a router",
        "v4.ini": "its config was removed",
        "v5.ini": "not named by reload-hook-vassals",
        "x.xml": "its config does not end with .ini or .yaml",
    }
    narrowed = opening.open_roll(
        a_snapshot(vassal(1), vassal(2)), settings(), Request(1, only="v1*"), NOW, opening.Memory()
    )
    assert narrowed.excluded == {"v2.ini": "not named by the trigger's only="}


def test_a_roll_of_nobody_is_refused_and_says_why_each_is_left_alone() -> None:
    roll = opened(a_snapshot(vassal(1, exclusion="the hook's own vassal")))
    assert (roll.result, roll.finished) == (Result.REFUSED, NOW)
    assert roll.reason == "there is no vassal to roll (1 vassal left alone): v1.ini: the hook's own vassal"
    assert opened(a_snapshot()).reason == "there is no vassal to roll: the Emperor runs none"
    many = opened(a_snapshot(*[vassal(number, exclusion="a zerg vassal") for number in range(1, 9)]))
    assert many.reason.startswith("there is no vassal to roll (8 vassals left alone): v1.ini: a zerg vassal; v2.ini")
    assert many.reason.endswith("v5.ini: a zerg vassal; and 3 more")
    five = opened(a_snapshot(*[vassal(number, exclusion="a zerg vassal") for number in range(1, 6)]))
    assert five.reason.endswith("v5.ini: a zerg vassal")


def test_a_down_vassal_whose_key_is_known_does_not_put_a_refusal_off() -> None:
    assert opened(a_snapshot(vassal(1, cursed=True))).result is Result.REFUSED


def test_a_step_says_when_to_look_again() -> None:
    seen = a_snapshot(vassal(1), vassal(2))
    step = planner.plan(seen, opened(seen), settings(), NOW)
    assert step.roll.vassals["v1.ini"].phase is Phase.DRAINING
    assert step.look.wait == IMMEDIATELY
    step = planner.plan(seen, step.roll, settings(), NOW + 0.1)
    assert step.look.wait == CHANGE_EXPECTED


def waiting(passed: float, **changes: object) -> Roll:
    """A roll of two keys without room under either, `passed` seconds after its last change, timeout 20 s."""
    first, second = vassal(1), vassal(2, nodes=(a_node(key="web"),))
    roll = opened(a_snapshot(vassal(1), vassal(2), vassal(3), vassal(4)))
    unseen = [roll.vassals[id_]._replace(unseen_since=NOW) for id_ in ("v2.ini", "v3.ini", "v4.ini")]
    roll = replace(in_phase(with_vassals(roll, *unseen), v3=Phase.DONE, v4=Phase.DONE), **changes)  # type: ignore[arg-type]
    lost = [vassal(number, nodes=(), accepting=True) for number in (3, 4)]
    given = settings(timeout=20.0, drain_timeout=500.0, canary_time=0.0)
    return planner.plan(a_snapshot(first, second, *lost), roll, given, NOW + passed).roll


@pytest.mark.parametrize(("passed", "result"), [(19.9, None), (20.0, Result.TIMED_OUT)])
def test_a_stall_is_over_at_the_timeout_and_names_every_key_and_vassal(passed: float, result: Result | None) -> None:
    roll = waiting(passed)
    assert roll.result is result
    if result is not None:
        assert roll.reason == (
            "no room for v1.ini, v2.ini within 20 s (serving under app: 1 of 1 needed, web: 1 of 1 needed)"
        )


def test_a_roll_that_was_stopped_keeps_its_own_reason_however_long_it_took() -> None:
    stopped = {"stage": Stage.WINDING_DOWN, "stopping": Result.FAILED, "reason": "v9.ini: it died"}
    roll = waiting(100.0, **stopped)
    assert (roll.result, roll.reason) == (Result.FAILED, "v9.ini: it died")


def test_a_long_drain_is_no_stall() -> None:
    busy = a_node(ref=1, last_check=0, death_mark=True)
    first = vassal(1, nodes=(busy,), details=ProcessFacts(reloads=0, touch_path="x"))
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))), v1=Phase.DRAINING)
    draining = known(taken(roll.vassals["v1.ini"], NOW), first.pid)
    roll = with_vassals(roll, unsubscribed(draining, busy))
    given = settings(timeout=20.0, drain_timeout=500.0)
    step = planner.plan(a_snapshot(first, vassal(2)), roll, given, NOW + 100)
    assert (step.roll.stopping, step.roll.vassals["v1.ini"].phase) == (None, Phase.DRAINING)


@pytest.mark.parametrize(("passed", "phase"), [(1.0, Phase.PENDING), (20.0, Phase.DRAINING)])
def test_a_vassal_that_starts_by_itself_is_left_to_settle_until_the_timeout(passed: float, phase: Phase) -> None:
    starting = vassal(1, accepting=False, nodes=())
    seen = a_snapshot(starting, vassal(2), vassal(3))
    roll = opening.open_roll(
        seen, settings(timeout=20.0), Request(1), NOW, opening.Memory({"v1.ini": frozenset({"app"})})
    )
    step = planner.plan(seen, replace(roll, last_change=NOW + passed), settings(timeout=20.0), NOW + passed)
    assert step.roll.vassals["v1.ini"].phase is phase
    assert step.roll.vassals["v2.ini"].phase is Phase.PENDING, "the better canary is waited for"


def test_a_woken_master_is_remembered_and_keeps_its_cpu() -> None:
    gone = ProcessFacts(reloads=0, children=frozenset())
    first, second, third = (vassal(number, accepting=False, details=gone) for number in (1, 2, 3))
    roll = in_phase(opened(a_snapshot(first, second, third)), v1=Phase.RESTARTING, v2=Phase.RESTARTING)
    for one in (first, second):
        before = known(roll.vassals[one.id], one.pid, reloads=0, children=frozenset({(7, 1)}))
        roll = with_vassals(roll, touched(before, at=NOW))
    seen = a_snapshot(first, second, third, cpus=1)
    for _ in range(2):
        step = planner.plan(seen, roll, settings(), NOW)
        assert [action for action in step.actions if isinstance(action, WakeMaster)] == [WakeMaster("v1.ini", 101)]
        assert was_woken(step.roll.vassals["v1.ini"])
        assert not was_woken(step.roll.vassals["v2.ini"])
        roll = step.roll


@pytest.mark.parametrize(("may_subscribe", "waits"), [(True, True), (False, False)])
def test_a_vassal_of_unknown_keys_is_not_touched_in_the_middle_of_its_own_start(
    *, may_subscribe: bool, waits: bool
) -> None:
    """An earlier roll may have touched it, whose journal is lost: the second reload would swallow its announcement."""
    starting = vassal(1, nodes=(), accepting=False, may_subscribe=may_subscribe)
    seen = a_snapshot(starting)
    step = planner.plan(seen, opened(seen), settings(canary=0), NOW)
    assert (step.roll.vassals["v1.ini"].phase is Phase.PENDING) is waits
    later = planner.plan(seen, opened(seen), settings(canary=0), NOW + MERCY + limits.LOADING)
    assert later.roll.vassals["v1.ini"].phase is Phase.DRAINING, "it hangs"


def test_a_vassal_that_starts_may_turn_out_to_serve_the_key_that_lacks_vassals() -> None:
    starting = vassal(1, nodes=(), accepting=False)
    assert opened(a_snapshot(starting, vassal(2))).result is None
    keyless = opened(a_snapshot(replace(starting, may_subscribe=False), vassal(2)))
    assert (list(keyless.vassals), keyless.result) == (["v1.ini"], None), "only the key is left"


@pytest.mark.parametrize(
    ("there", "phase"),
    [
        ({}, Phase.PENDING),
        ({"cursed": True}, Phase.WITHDRAWN),
        ({"present": False, "accepting": False, "pid": 0, "nodes": ()}, Phase.WITHDRAWN),
    ],
)
def test_a_missing_config_counts_as_removed_once_the_emperor_ends_its_vassal(
    there: dict[str, object], phase: Phase
) -> None:
    roll = opened(a_snapshot(vassal(1), vassal(2), vassal(3)))
    seen = a_snapshot(vassal(1), vassal(2), vassal(3, **{"config_exists": False, **there}))
    step = planner.plan(seen, roll, settings(), NOW + 1)
    assert step.roll.vassals["v3.ini"].phase is phase


def test_a_vassal_of_unknown_keys_is_given_time_to_announce_itself_first() -> None:
    """A router that was started anew a moment ago lists nobody, and no roll before this one has seen the keys."""
    forgotten = a_snapshot(vassal(1, nodes=()), vassal(2, nodes=()))
    roll = opened(forgotten)
    for passed, out in ((0.0, 0), (11.9, 0), (12.1, 1), (12.2, 1)):
        roll = planner.plan(forgotten, roll, settings(canary=0, timeout=60.0), NOW + passed).roll
        assert sum(one.phase.is_out for one in roll.vassals.values()) == out, "each goes alone"
    none = a_snapshot(vassal(1, nodes=(), may_subscribe=False))
    assert planner.plan(none, opened(none), settings(), NOW).roll.vassals["v1.ini"].phase is Phase.DRAINING


@pytest.mark.parametrize(("others", "taken"), [(1, False), (2, True)])
def test_an_accepting_vassal_in_no_router_is_taken_with_room_only(others: int, *, taken: bool) -> None:
    lost = vassal(9, nodes=())
    seen = a_snapshot(lost, *[vassal(number) for number in range(1, others + 1)])
    known = {"v9.ini": frozenset({"app"})}
    given = settings(minimum_active_vassals=Minimum(2), timeout=60.0)
    roll = opening.open_roll(seen, given, Request(1), NOW, opening.Memory(known))
    roll = planner.plan(seen, replace(roll, result=None), given, NOW).roll
    assert (roll.vassals["v9.ini"].phase is Phase.DRAINING) is taken


def test_a_vassal_left_alone_stays_a_member_of_its_key_when_a_router_forgets_it() -> None:
    half = settings(minimum_active_vassals=Minimum(50, percent=True), vassals=("v[12].ini",))
    roll = opening.open_roll(
        a_snapshot(*[vassal(number) for number in range(1, 7)]), half, Request(1), NOW, opening.Memory()
    )
    assert roll.minimum == {"app": 3}
    lost = a_snapshot(vassal(1), vassal(2), *[vassal(number, nodes=()) for number in range(3, 7)])
    step = planner.plan(lost, roll, half, NOW + 1)
    assert step.roll.minimum == {"app": 3}
    assert step.actions == ()


def test_a_roll_that_turns_out_to_have_no_room_is_refused_before_anybody_is_taken() -> None:
    forgotten = a_snapshot(vassal(1, nodes=()))
    roll = opened(forgotten)
    assert roll.result is None
    step = planner.plan(a_snapshot(vassal(1)), roll, settings(), NOW + 3)
    assert (step.roll.result, step.actions) == (Result.REFUSED, ())
    assert step.roll.reason.startswith("key app has 1 vassal and the minimum is 1")


def test_a_refused_act_adds_its_reason_to_a_vassal_that_has_failed_already() -> None:
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))), v1=Phase.FAILED)
    roll = with_vassals(roll, roll.vassals["v1.ini"]._replace(reason="the probe failed: 500"))
    step = planner.fail_vassal(roll, "v1.ini", "cannot be unsubscribed", NOW)
    assert step.roll.vassals["v1.ini"].reason == "the probe failed: 500; cannot be unsubscribed"
    assert step.actions == ()


def test_a_refused_act_leaves_nothing_owed() -> None:
    nodes = vassal(1).nodes
    roll = opened(a_snapshot(vassal(1), vassal(2)))
    for phase, actions in ((Phase.TOUCHED, (Subscribe("v1.ini", nodes),)), (Phase.FAILED, ())):
        there = in_phase(roll, v1=phase)
        there = with_vassals(there, unsubscribed(there.vassals["v1.ini"], *nodes))
        step = planner.fail_vassal(there, "v1.ini", "no permission", NOW)
        assert (owed(step.roll.vassals["v1.ini"]), step.actions, step.look.wait) == ((), actions, IMMEDIATELY)


def test_a_roll_that_sees_nothing_waits_and_fails_after_the_timeout() -> None:
    roll, given = opened(a_snapshot(vassal(1), vassal(2))), settings(timeout=20.0)
    first = planner.see_nothing(roll, "the stats cannot be read", given, NOW)
    assert (first.roll.blind_since, first.roll.result, first.look.wait) == (NOW, None, given.check_interval)
    later = planner.see_nothing(first.roll, "the stats cannot be read", given, NOW + 19.9)
    assert (later.roll.blind_since, later.roll.result, later.actions) == (NOW, None, ())
    last = planner.see_nothing(later.roll, "the stats cannot be read", given, NOW + 20)
    assert (last.roll.result, last.roll.reason) == (Result.FAILED, "for 20 s, the stats cannot be read")
    seen = planner.plan(a_snapshot(vassal(1), vassal(2)), later.roll, given, NOW + 19.95)
    assert seen.roll.blind_since is None


def test_a_stalled_roll_names_the_vassals_whose_config_is_not_found() -> None:
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))))
    lost = a_snapshot(vassal(1, config_exists=False), vassal(2))
    for passed in (0.0, 20.0):
        roll = planner.plan(lost, roll, settings(timeout=20.0), NOW + passed).roll
    assert roll.reason.startswith("no room for v1.ini, v2.ini within 20 s")
    assert roll.reason.endswith("; the Emperor runs v1.ini, of which the hook finds no config")


def test_a_roll_tells_its_times_by_the_wall_clock_of_its_beginning() -> None:
    roll = opened(a_snapshot(vassal(1), vassal(2)))
    assert (roll.wall(NOW), roll.wall(NOW + 3), roll.wall(None)) == (WALL, WALL + 3, None)


def test_a_running_vassal_whose_config_is_not_found_refuses_the_roll() -> None:
    roll = opened(a_snapshot(vassal(1), vassal(2), vassal(3, config_exists=False)))
    assert roll.result is Result.REFUSED
    assert roll.reason.startswith("the Emperor runs v3.ini, of which the hook finds no config")
    assert "reload-hook-emperor-path" in roll.reason


@pytest.mark.parametrize(("passed", "result"), [(30.1, None), (37.9, None), (38.0, Result.TIMED_OUT)])
def test_room_is_waited_for_from_the_end_of_the_canarys_watch(passed: float, result: Result | None) -> None:
    """The watch is longer than the timeout here, and no phase changes during it."""
    given = settings(minimum_active_vassals=Minimum(2), canary_time=30.0, timeout=8.0)
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2), vassal(3)), given), v1=Phase.DONE)
    done = known(ended(roll.vassals["v1.ini"], NOW), 101)
    roll = replace(with_vassals(roll, done), canary_done=NOW)
    without_room = a_snapshot(vassal(1, accepting=False), vassal(2), vassal(3))
    assert planner.plan(without_room, roll, given, NOW + passed).roll.result is result


@pytest.mark.parametrize("id_", ["v1.ini", "v9.ini"])
def test_a_refused_act_on_a_vassal_that_is_not_rolled_any_more_changes_nothing(id_: str) -> None:
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))), v1=Phase.WITHDRAWN)
    step = planner.fail_vassal(roll, id_, "no permission", NOW)
    assert (step.actions, step.roll) == ((), roll)
