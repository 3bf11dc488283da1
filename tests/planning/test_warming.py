"""From the first request of the new code back into the routers: what is announced, evicted, and waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    APP,
    a_node,
    a_progress,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    failed_probe,
    known,
    started_anew,
    touched,
    unanswered,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import warming
from uwsgi_reload_hook.planning.actions import SendProbe, Subscribe, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.progress import Phase, Progress, Warmup
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.snapshot import ProbeResult, Vassal

NOW = 50.0
NODE = a_node(address="/run/a.sock")
SERVES = a_subscribed_vassal("a")
LOST = a_vassal("a")


def warms(keys: frozenset[str] = APP, **learnt: object) -> Progress:
    """One that was touched 5 s ago, and what was learnt of its new code."""
    one = touched(known(a_progress("a", Phase.WARMING, keys=keys, since=NOW - 1), nodes=(NODE,)), at=NOW - 5)
    return one._replace(warmup=Warmup(**learnt))  # type: ignore[arg-type]


def seen_of(one: Progress, there: Vassal, **given: object) -> Transition:
    return warming.observe(one, there, Context(a_snapshot(there), settings(**given), NOW))  # type: ignore[arg-type]


@pytest.mark.parametrize(("ago", "again"), [(0.9, False), (1.0, True)])
def test_a_vassal_in_no_router_is_announced_again_after_a_second(ago: float, *, again: bool) -> None:
    one, actions = seen_of(warms(admitted=NOW - ago, healthy_since=NOW - 1), LOST)
    assert (one.phase, one.warmup.healthy_since) == (Phase.WARMING, None)
    assert one.warmup.admitted == (NOW if again else NOW - ago)
    assert actions == ((Subscribe("a", (NODE,)),) if again else ())


def test_a_vassal_that_is_late_is_not_announced_again() -> None:
    one, actions = seen_of(warms(admitted=NOW - 3), LOST, timeout=5.0)
    assert (one.phase, actions) == (Phase.FAILED, ())


def test_a_vassal_that_stops_accepting_is_not_healthy_unless_it_never_accepts() -> None:
    silent = replace(SERVES, accepting=False)
    assert seen_of(warms(admitted=NOW), silent)[0].phase is Phase.WARMING
    mules = warms(admitted=NOW)
    mules = mules._replace(before=mules.before._replace(accepts=False))
    assert seen_of(mules, silent)[0].phase is Phase.DONE


@pytest.mark.parametrize(("healthy", "phase"), [(None, Phase.WARMING), (2.9, Phase.WARMING), (3.0, Phase.DONE)])
def test_a_vassal_has_to_stay_healthy_for_its_time(healthy: float | None, phase: Phase) -> None:
    since = None if healthy is None else NOW - healthy
    one, actions = seen_of(warms(admitted=NOW - 9, healthy_since=since), SERVES, minimum_healthy_time=3.0)
    assert (one.phase, actions) == (phase, ())
    assert one.warmup.healthy_since == (NOW if since is None else since)
    assert one.reason == ("serves again" if phase is Phase.DONE else "")


@pytest.mark.parametrize(
    ("minimum", "anew", "needed"), [(0.0, False, 2.0), (0.0, True, 12.0), (20.0, False, 20.0), (20.0, True, 20.0)]
)
def test_a_vassal_without_a_router_has_to_live_for_longer(minimum: float, needed: float, *, anew: bool) -> None:
    for age, phase in ((needed - 0.1, Phase.WARMING), (needed, Phase.DONE)):
        one = warms(frozenset(), admitted=NOW - age, healthy_since=NOW - age)
        found, _ = seen_of(started_anew(one) if anew else one, LOST, minimum_healthy_time=minimum)
        assert (found.phase, found.reason) == (phase, "restarted" if phase is Phase.DONE else "")


@pytest.mark.parametrize(("ago", "asked"), [(None, False), (0.9, False), (1.0, True)])
def test_a_healthy_vassal_is_probed_every_second(ago: float | None, *, asked: bool) -> None:
    probed = None if ago is None else NOW - ago
    one, actions = seen_of(warms(admitted=NOW - 9, probed=probed), SERVES, minimum_healthy_time=3.0)
    assert actions == ((SendProbe("a", (NODE,)),) if asked else ())
    assert (one.warmup.awaits_answer, one.warmup.probed) == (asked, NOW if asked else probed)


def test_a_good_first_answer_announces_a_vassal_and_a_later_one_does_not() -> None:
    good = replace(LOST, probe=ProbeResult(good=True, words=""))
    one, actions = seen_of(warms(probed=NOW, awaits_answer=True), good)
    assert actions == (Subscribe("a", (NODE,)),)
    assert (one.warmup.awaits_answer, one.warmup.admitted) == (False, NOW)
    later, actions = seen_of(warms(probed=NOW, awaits_answer=True, admitted=NOW - 2), good)
    assert (actions, later.warmup.awaits_answer, later.warmup.admitted) == ((), False, NOW - 2)


def begun(one: Progress, probe: Probe | None) -> Transition:
    return warming.begin(one, LOST, Context(a_snapshot(LOST), settings(probe=probe), NOW))


def test_a_vassal_is_probed_before_it_is_announced_where_it_can_answer() -> None:
    loads = touched(known(a_progress("a", Phase.RESTARTING, keys=APP), nodes=(NODE,)), at=NOW - 5)
    loads = loads._replace(warmup=Warmup(healthy_since=1.0))
    asked, actions = begun(loads, Probe("/"))
    assert (asked.phase, asked.warmup) == (Phase.WARMING, Warmup(probed=NOW, awaits_answer=True))
    assert (actions, asked.times.load_seconds) == ((SendProbe("a", (NODE,)),), 5.0)
    mules = loads._replace(before=loads.before._replace(accepts=False))
    for one, probe in ((loads, None), (mules, Probe("/"))):
        announced, actions = begun(one, probe)
        assert (announced.warmup, actions) == (Warmup(admitted=NOW), (Subscribe("a", (NODE,)),))


def evicted(one: Progress, *, ignored: bool = False) -> tuple[object, ...]:
    context = Context(a_snapshot(SERVES), settings(), NOW, frozenset({"router"} if ignored else ()))
    return warming.eviction(one._replace(id="a"), SERVES, context)


OUT = Unsubscribe("a", SERVES.nodes)


def test_new_code_is_kept_out_until_its_first_answer_only() -> None:
    asked = unanswered("a")
    assert evicted(asked) == (OUT,)
    assert evicted(started_anew(unsubscribed(asked))) == (OUT,)
    assert evicted(unsubscribed(asked)) == (), "it kept its traffic while it was reloaded"
    assert evicted(asked._replace(warmup=asked.warmup._replace(admitted=NOW - 1))) == (), "it was good before"
    assert evicted(asked._replace(warmup=asked.warmup._replace(awaits_answer=False))) == ()
    assert evicted(asked, ignored=True) == (), "the router takes no packets"
    late = asked._replace(phase=Phase.FAILED, since=NOW)
    assert evicted(late) == (OUT,)
    assert evicted(late._replace(since=NOW - 1)) == ()
    assert evicted(late._replace(phase=Phase.RESTARTING)) == ()


def test_a_bad_answer_suspends_the_vassal_too_where_it_has_a_key() -> None:
    bad = failed_probe("a", NOW)
    assert evicted(bad) == (OUT, Suspend("a", 7))
    assert evicted(bad, ignored=True) == (Suspend("a", 7),)
    assert evicted(bad._replace(keys=frozenset())) == ()
