"""How long a phase, and with it a roll, can last at most."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.build import a_node, a_progress, a_roll, a_snapshot, a_vassal, known, started_anew, taken, touched
from tests.support.rolling import settings as given_settings
from uwsgi_reload_hook.planning import limits, opening, planner
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Request, Result, Stage
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT
from uwsgi_reload_hook.snapshot import Blacklisting, ProbeResult, ProcessFacts, ReloadOptions, Snapshot, Vassal

LIMITED = given_settings(timeout=20.0, drain_timeout=5.0)
LONGEST = 20 * (20.0 + 5.0 + ANNOUNCE_WAIT)
"""Seconds: three vassals, one after another, each with all of its phases to their limits, and some more."""

facts = st.builds(
    ProcessFacts,
    reloads=st.sampled_from([None, -1, 0, 1]),
    children=st.sampled_from([None, frozenset(), frozenset({(1, 1)}), frozenset({(2, 2)})]),
    running=st.booleans(),
    loads=st.sampled_from([None, True, False]),
    options=st.builds(ReloadOptions, exits=st.booleans()),
    touch_path=st.just("/a.ini"),
    may_set_mtime=st.booleans(),
)


@st.composite
def seen(draw: st.DrawFn, id_: str) -> Vassal:
    """Anything that a look can show of a vassal, once: the world is drawn to be unkind."""
    node = a_node(
        address=f"/run/{id_}.sock",
        ref=draw(st.sampled_from([0, 0, 3])),
        last_check=draw(st.sampled_from([0, 1000, 10_000_000])),
        death_mark=draw(st.booleans()),
    )
    return Vassal(
        id_,
        present=draw(st.sampled_from([True, True, True, False])),
        pid=draw(st.sampled_from([7, 7, 7, 8])),
        last_mod=draw(st.sampled_from([0, 0, 10_000_000])),
        accepting=draw(st.booleans()),
        rests=draw(st.booleans()),
        respawns=draw(st.sampled_from([0, 1, 2])),
        cursed=draw(st.sampled_from([False, False, False, True])),
        blacklisted=draw(st.sampled_from([None, None, Blacklisting(1, 1)])),
        nodes=draw(st.sampled_from([(), (node,)])),
        withheld_keys=draw(st.sampled_from([frozenset(), frozenset({"app"})])),
        may_subscribe=draw(st.booleans()),
        details=draw(st.one_of(st.none(), facts)),
        probe=draw(st.sampled_from([None, ProbeResult(good=True, words="")])),
    )


IDS = ("v1.ini", "v2.ini", "v3.ini")
looks = st.tuples(*(seen(id_) for id_ in IDS))
routers = st.sampled_from([{"router": 1}, {"router": 2}, {}])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(looks, routers), min_size=1, max_size=3))
def test_a_roll_ends_whatever_its_looks_show_for_ever(
    cycle: list[tuple[tuple[Vassal, ...], dict[str, int]]],
) -> None:
    """What the looks show is repeated for ever, so that whoever waits for something waits in vain."""

    def look(second: int) -> Snapshot:
        vassals, pids = cycle[second % len(cycle)]
        return a_snapshot(*vassals, wall=1000.0 + second, routers=pids)

    roll = opening.open_roll(look(0), LIMITED, Request(1), 0.0, opening.Memory())
    second = 0
    while roll.result is None:
        second += 1
        assert second < LONGEST, {one.id: (one.phase, one.reason) for one in roll.vassals.values()}
        roll = planner.plan(look(second), roll, LIMITED, float(second)).roll


def end_of(one: Progress, vassal: Vassal) -> tuple[float, str]:
    """When a roll of one vassal, which is seen so for ever, ends, and what becomes of the vassal."""
    roll, now = a_roll(one), 1.0
    while roll.result is None and now < 1000:
        now += 1.0
        roll = planner.plan(a_snapshot(vassal, wall=1000.0 + now), roll, LIMITED, now).roll
    assert roll.result in {Result.FAILED, Result.TIMED_OUT}
    return now, roll.vassals[one.id].reason


def test_a_vassal_that_somebody_announces_for_ever_fails_at_its_limit() -> None:
    node = a_node(last_check=10_000)
    one = known(touched(a_progress("a.ini", Phase.RESTARTING, started=1.0, keys=frozenset({"app"})), at=1.0), reloads=0)
    one = one._replace(drain=one.drain._replace(unsubscribed=(node,)))
    facts = ProcessFacts(reloads=0, children=frozenset({(1, 1)}), loads=False)
    ended, reason = end_of(one, a_vassal("a.ini", accepting=False, nodes=(node,), details=facts))
    assert (ended, "its old processes have not ended" in reason) == (21.0, True)


def test_a_router_that_is_restarted_for_ever_holds_up_a_roll_for_its_limit() -> None:
    keys = frozenset({"app"})
    done = a_progress("done.ini", Phase.DONE, keys=keys)._replace(before=known(a_progress("done.ini")).before)
    waiting = a_progress("a.ini", keys=keys, first_pid=7)
    roll = a_roll(done, waiting, key_routers={"app": frozenset({"router"})}, routers={"router": 0}, stage=Stage.ROLLING)
    now = 0.0
    while roll.result is None:
        now += 1.0
        assert now <= 1 + LIMITED.canary_time + 20 + ANNOUNCE_WAIT
        seen = a_snapshot(a_vassal("done.ini"), a_vassal("a.ini"), wall=1000.0 + now, routers={"router": int(now)})
        roll = planner.plan(seen, roll, LIMITED, now).roll
    assert roll.result is Result.TIMED_OUT


def test_a_vassal_that_loads_for_ever_by_somebody_else_is_not_touched() -> None:
    facts = ProcessFacts(reloads=0, children=frozenset(), loads=True, touch_path="/a.ini")
    one = taken(known(a_progress("a.ini", Phase.DRAINING, keys=frozenset({"app"}), first_pid=7)), at=1.0)
    ended, reason = end_of(one, a_vassal("a.ini", details=facts))
    assert (ended, "loads, because somebody else has reloaded it" in reason) == (21.0, True)


@pytest.mark.parametrize(
    ("timeout", "mercy", "limit"), [(None, 60, 120.0), (None, 300, 360.0), (5.0, 300, 5.0), (500.0, 1, 500.0)]
)
def test_the_time_of_a_reload_is_the_vassals_own_unless_one_is_set(
    timeout: float | None, mercy: int, limit: float
) -> None:
    one = a_progress("a.ini", Phase.RESTARTING)
    one = one._replace(before=one.before._replace(options=ReloadOptions(mercy=mercy)))
    assert limits.of_vassal(one, given_settings(timeout=timeout)) == limit


def test_a_new_process_has_no_old_ones_to_wait_for() -> None:
    one = started_anew(a_progress("a.ini", Phase.RESTARTING))
    assert limits.of_vassal(one, given_settings()) == limits.LOADING


def test_a_roll_waits_for_room_as_long_as_the_slowest_of_its_vassals_may_take() -> None:
    slow = a_progress("slow.ini", Phase.RESTARTING)
    slow = slow._replace(before=slow.before._replace(options=ReloadOptions(mercy=600)))
    assert limits.of_roll(a_roll(a_progress("quick.ini"), slow), given_settings()) == 660.0


def test_the_text_of_a_limit_that_is_found_says_what_it_is_made_of() -> None:
    one = touched(a_progress("a.ini", Phase.RESTARTING), at=0.0)
    said = limits.words(one, given_settings())
    assert said == "timeout of 120 s reached: 60 s for its old processes and 60 s to load"


def test_the_text_of_a_limit_that_is_long_enough_names_no_mercy() -> None:
    one = touched(a_progress("a.ini", Phase.RESTARTING), at=0.0)
    assert limits.words(one, given_settings(timeout=100.0)) == "timeout of 100 s reached"
