from __future__ import annotations

import pytest

from tests.support.build import (
    a_node,
    a_progress,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    known,
    owed,
    taken,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import draining
from uwsgi_reload_hook.planning.actions import Action, Subscribe, Touch, Unsubscribe
from uwsgi_reload_hook.planning.progress import Failure, Image, Phase, Progress
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import ProcessFacts, Vassal

WALL = 1000.5
NODE = a_node(last_check=0, death_mark=True)
TAKEN = unsubscribed(known(a_progress("a.ini", Phase.DRAINING, started=50.0, first_pid=7), nodes=(NODE,)), NODE)
TIMEOUT = 60.0


def moved(details: ProcessFacts, *, last_mod: int, passed: float) -> tuple[Progress, tuple[Action, ...]]:
    vassal = a_vassal("a.ini", last_mod=last_mod, details=details)
    seen = a_snapshot(vassal, wall=WALL)
    given = settings(timeout=TIMEOUT, drain_timeout=1.0)
    context = Context(seen, given, 50.0 + passed)
    progress, actions = draining.observe(TAKEN, vassal, context)
    if progress.phase is not Phase.DRAINING:
        return progress, actions
    why = draining.why_ready(progress, vassal, context)
    return draining.restart(progress, vassal, context, why) if why else (progress, actions)


@pytest.mark.parametrize("passed", [0.1, 2.0, TIMEOUT - 0.1])
def test_a_config_that_can_only_be_touched_now_waits_for_the_next_second(passed: float) -> None:
    details = ProcessFacts(touch_path="a.ini", may_set_mtime=False)
    assert moved(details, last_mod=1000, passed=passed) == (TAKEN, ())
    _, actions = moved(details, last_mod=999, passed=passed)
    assert actions == (Touch("a.ini", "a.ini", None),)


def test_where_the_clock_was_set_back_a_vassal_gets_its_traffic_back_at_the_timeout() -> None:
    progress, actions = moved(ProcessFacts(touch_path="a.ini", may_set_mtime=False), last_mod=4600, passed=TIMEOUT)
    assert (progress.phase, owed(progress)) == (Phase.FAILED, ())
    assert "has a config from the future" in progress.reason
    assert actions == (Subscribe("a.ini", (NODE,)),)


@pytest.mark.parametrize(("last_mod", "mtime"), [(999, 1000), (1000, 1001), (4600, 4601)])
def test_both_ends_of_a_link_get_one_mtime_where_the_emperor_may_look_at_either(last_mod: int, mtime: int) -> None:
    details = ProcessFacts(touch_path="link", touch_also="target")
    _, actions = moved(details, last_mod=last_mod, passed=0.1)
    assert actions == (Touch("a.ini", "link", mtime), Touch("a.ini", "target", mtime))


@pytest.mark.parametrize(
    ("there", "unsubscribes", "reason", "served"),
    [
        (a_subscribed_vassal("a.ini"), True, "unsubscribed", True),
        (a_subscribed_vassal("a.ini"), False, "keeps its traffic until its reload", True),
        (a_vassal("a.ini"), False, "has no traffic to drain", True),
        (a_vassal("a.ini", accepting=False), False, "has no traffic to drain", False),
        (a_vassal("a.ini", present=False), False, "has no traffic to drain", False),
    ],
)
def test_what_a_vassal_was_when_it_was_taken_is_noted(
    there: Vassal, reason: str, *, unsubscribes: bool, served: bool
) -> None:
    nodes = there.nodes if unsubscribes else ()
    one, actions = draining.take(
        a_progress("a.ini"), there, there.nodes, nodes, Context(a_snapshot(there), settings(), 50.0)
    )
    assert (one.phase, one.reason, one.times.started) == (Phase.DRAINING, reason, 50.0)
    assert (one.drain.nodes, one.drain.unsubscribed, one.drain.was_serving) == (there.nodes, nodes, served)
    assert actions == ((Unsubscribe("a.ini", nodes),) if nodes else ())


LIVE = a_node()
DRAINS = unsubscribed(known(a_progress("a.ini", Phase.DRAINING, started=50.0, first_pid=7), nodes=(LIVE,)), LIVE)
ANNOUNCED = a_vassal("a.ini", nodes=(LIVE,), details=ProcessFacts(reloads=3, touch_path="a.ini"))
GONE = a_vassal("a.ini", details=ANNOUNCED.details)


def judged(one: Progress, there: Vassal, passed: float, ignored: str = "") -> tuple[Progress, tuple[Action, ...]]:
    given = settings(drain_timeout=30.0, timeout=TIMEOUT)
    return draining.observe(one, there, Context(a_snapshot(there), given, 50.0 + passed, frozenset({ignored} - {""})))


@pytest.mark.parametrize("looks", range(9))
def test_a_packet_without_effect_is_sent_again_at_looks_that_double(looks: int) -> None:
    before = unsubscribed(DRAINS, LIVE, looks=looks)
    one, actions = judged(before, ANNOUNCED, 1.9)
    assert (one.unnoticed_looks, actions) == (looks + 1, ())
    given = settings(drain_timeout=30.0, timeout=TIMEOUT)
    again = draining.unsubscribe_again(one, ANNOUNCED, Context(a_snapshot(ANNOUNCED), given, 51.9))
    assert again == ((Unsubscribe("a.ini", (LIVE,)),) if looks + 1 in {1, 2, 4, 8} else ())
    assert judged(before, GONE, 1.9) == (DRAINS, ()), "it was taken"


@pytest.mark.parametrize(("looks", "passed", "ignores"), [(5, 2.0, True), (4, 2.0, False), (5, 1.9, False)])
def test_a_router_ignores_the_hook_after_five_looks_and_two_seconds(
    looks: int, passed: float, *, ignores: bool
) -> None:
    context = Context(a_snapshot(ANNOUNCED), settings(), 50.0 + passed)
    found = draining.ignoring_routers(unsubscribed(DRAINS, LIVE, looks=looks), ANNOUNCED, context)
    assert found == ({"router"} if ignores else frozenset())


def ready(one: Progress, there: Vassal, passed: float = 1.0, ignored: str = "") -> str:
    context = Context(a_snapshot(there), settings(drain_timeout=30.0), 50.0 + passed, frozenset({ignored} - {""}))
    return draining.why_ready(one, there, context)


def test_a_vassal_is_ready_when_it_is_drained_or_cannot_be() -> None:
    assert ready(DRAINS, ANNOUNCED) == ""
    assert ready(DRAINS, GONE) == "drained"
    busy = a_vassal("a.ini", nodes=(a_node(ref=1, death_mark=True),), details=GONE.details)
    assert ready(DRAINS, busy) == ""
    assert ready(DRAINS, busy, passed=29.9) == ""
    assert ready(DRAINS, busy, passed=30.0) == "drain-timeout reached"
    assert ready(DRAINS, ANNOUNCED, ignored="router").startswith(
        "not drained at router: the router ignores the hook's packets"
    )
    west = a_node(router="west")
    elsewhere = unsubscribed(DRAINS, LIVE, west)
    assert ready(elsewhere, ANNOUNCED, ignored="router").startswith("drained elsewhere; not drained at router: ")
    assert ready(DRAINS, a_vassal("a.ini")) == "", "its config was not inspected"
    problem = a_vassal("a.ini", details=ProcessFacts(touch_problem="it is a socket"))
    assert ready(DRAINS, problem) == ""


def test_a_vassal_that_was_down_when_taken_is_started_or_judged_by_its_new_process() -> None:
    down = taken(known(a_progress("a.ini", Phase.DRAINING, first_pid=7), None), 50.0)
    missing, cursed = a_vassal("a.ini", present=False), a_vassal("a.ini", cursed=True, details=GONE.details)
    assert ready(down, missing) == "was down: started"
    assert ready(down, cursed) == ""
    assert judged(down, cursed, TIMEOUT - 0.1) == (down, ())
    assert judged(down, cursed, TIMEOUT)[0].failure is Failure.TIMEOUT
    anew, actions = judged(down, a_vassal("a.ini", pid=8), 1.0)
    assert (anew.phase, anew.image, actions) == (Phase.RESTARTING, Image.NEW_PROCESS, ())
    assert judged(down, missing, 1.0) == (down, ())
    for gone in (missing, cursed, a_vassal("a.ini", pid=8)):
        assert judged(DRAINS, gone, 1.0)[0].failure is Failure.DIED


def test_a_touch_notes_what_the_vassal_was_before() -> None:
    workers = frozenset({(8, 1)})
    details = ProcessFacts(reloads=3, children=workers, touch_path="a.ini")
    there = a_vassal("a.ini", respawns=4, last_mod=900, details=details, accepting=False)
    context = Context(a_snapshot(there), settings(), 55.0)
    one, _ = draining.restart(unsubscribed(DRAINS, LIVE, looks=3), there, context, "drained")
    assert (one.phase, one.unnoticed_looks, one.times.started, one.times.restarted) == (Phase.TOUCHED, 0, 50.0, 55.0)
    assert (one.before.pid, one.before.respawns, one.before.last_mod) == (7, 4, 900)
    assert (one.before.reloads, one.before.children, one.before.accepts) == (3, workers, False)
    keyed, _ = draining.restart(DRAINS._replace(keys=frozenset({"app"})), there, context, "drained")
    assert keyed.before.accepts


def test_a_vassal_that_returns_to_service_forgets_its_drain() -> None:
    back, actions = draining.return_to_service(unsubscribed(DRAINS, LIVE, looks=3), 55.0, "because")
    fresh = a_progress("a.ini", since=55.0, reason="because", first_pid=7)
    assert back == fresh._replace(before=DRAINS.before, was_recalled=True)
    assert actions == (Subscribe("a.ini", (LIVE,)),)
