"""Random sites, faults and moments, driven through the real controller; the promise is checked at every act and step.

`make soak` runs many more. A failing world is printed, with the line that replays it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.support import rolling
from tests.support.rolling import WatchedSite
from tests.support.simulator import FakeVassal
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.settings import Minimum, Settings

SOAK = "SOAK_EXAMPLES" in os.environ
PARTS = (os.cpu_count() or 1) if SOAK else 1
"""The soak keeps every CPU busy."""
EXAMPLES = math.ceil(int(os.environ.get("SOAK_EXAMPLES", "150")) / PARTS)
TIMEOUT = 8.0
KEYS = ("a", "b", "c")
ROUTERS = ("east", "west")

moments = st.floats(0.0, 30.0, allow_nan=False).map(lambda seconds: round(seconds, 2))


forgetful = st.tuples(
    moments, st.sampled_from([ROUTERS, ROUTERS[:1], ROUTERS[1:]]), st.booleans(), st.sampled_from([10.0, 60.0])
)


@dataclass(frozen=True)
class Plan:
    """A world, as data: it prints whole, and can be replayed."""

    vassals: tuple[FakeVassal, ...]
    settings: Settings
    crashes: tuple[tuple[float, int], ...]
    removals: tuple[tuple[float, int], ...]
    blind: tuple[tuple[float, float], ...]
    forgets: tuple[tuple[float, tuple[str, ...], bool, float], ...]
    """When, which routers, whether they are seen to be other processes, and within how many seconds vassals return."""
    cpus: int


@st.composite
def fake_vassals(draw: st.DrawFn, number: int, good: int) -> FakeVassal:
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
    return FakeVassal(
        f"v{number}.ini",
        keys=tuple(keys),
        load=draw(st.sampled_from([0.3, 1.0, 3.0])),
        routers=draw(st.sampled_from([ROUTERS[:1], ROUTERS])),
        announces_after=draw(st.sampled_from([0.0, 0.5, 1.0])),
        broken=draw(st.booleans()) and draw(st.booleans()) and draw(st.booleans()),
        hangs=draw(st.integers(0, 15)) == 0,
        touch_refused=draw(st.integers(0, 20)) == 0,
        touch_unnoticed=draw(st.integers(0, 20)) == 0,
        deaf_router=draw(st.integers(0, 20)) == 0,
        signed=draw(st.integers(0, 20)) == 0,
        answers=draw(st.sampled_from(["200 OK"] * good + ["500 Internal Server Error"])),
        start=draw(st.sampled_from([0.0, 0.1, 5.0])),
        busy_until=draw(st.sampled_from([0.0, 0.0, 0.5, 5.0, 60.0])),
        announces_in_drain=draw(st.booleans()),
        has_fifo=draw(st.booleans()),
        loyal=draw(st.booleans()),
        accepting=draw(st.integers(0, 9)) > 0,
        present=draw(st.integers(0, 9)) > 0,
    )


@st.composite
def plans(draw: st.DrawFn, most: int) -> Plan:
    count = draw(st.integers(1, most))
    some = st.lists(st.tuples(moments, st.integers(0, count - 1)), max_size=2).map(tuple)
    percent = draw(st.booleans())
    return Plan(
        vassals=tuple(draw(fake_vassals(number, good=9)) for number in range(count)),
        settings=Settings(
            trigger="trigger",
            minimum_active_vassals=Minimum(draw(st.integers(0, 100 if percent else count)), percent=percent),
            maximum_parallel=draw(st.sampled_from([0, 0, 1, 3])),
            canary=draw(st.integers(0, 3)),
            timeout=TIMEOUT,
            deadline=draw(st.sampled_from([0.0, 0.0, 5.0, 20.0])),
            drain_timeout=draw(st.sampled_from([0.0, 1.0, 10.0])),
            minimum_healthy_time=draw(st.sampled_from([0.0, 0.0, 1.5])),
            probe=draw(st.sampled_from([None, Probe("/")])),
            canary_time=draw(st.sampled_from([0.0, 2.0])),
        ),
        crashes=draw(some),
        removals=draw(some),
        blind=draw(st.lists(st.tuples(moments, st.sampled_from([0.2, 3.0, 20.0])), max_size=1).map(tuple)),
        forgets=draw(st.lists(forgetful, max_size=2).map(tuple)),
        cpus=draw(st.integers(0, 3)),
    )


@st.composite
def troubled(draw: st.DrawFn) -> Plan:
    """A small site most of whose vassals die at the wrong moment, come back by themselves, and answer badly."""
    plan = draw(plans(most=8))
    vassals = tuple(draw(fake_vassals(number, good=3)) for number in range(len(plan.vassals)))
    soon = st.floats(0.0, 8.0, allow_nan=False).map(lambda seconds: round(seconds, 2))
    crashes = st.lists(st.tuples(soon, st.integers(0, len(vassals) - 1)), max_size=6).map(tuple)
    minimum = Minimum(draw(st.integers(0, len(vassals))))
    given = replace(plan.settings, minimum_active_vassals=minimum, probe=Probe("/"))
    return replace(plan, vassals=vassals, settings=given, crashes=draw(crashes), removals=())


def play(plan: Plan) -> None:
    site = WatchedSite(plan.vassals)
    site.cpus = plan.cpus
    known = {one.id: frozenset(one.keys) for one in plan.vassals if one.keys}
    site.minimum = {
        key: plan.settings.minimum_active_vassals.of(sum(key in one.keys for one in plan.vassals))
        for key in KEYS
        if not plan.removals and not plan.settings.minimum_active_vassals.percent
    }
    for moment, number in plan.crashes:
        site.at(moment, lambda one=plan.vassals[number]: site.die(one))  # type: ignore[misc]
    for moment, number in plan.removals:
        site.at(moment, lambda one=plan.vassals[number]: setattr(one, "config_exists", False))  # type: ignore[misc]
    for moment, seconds in plan.blind:
        site.at(moment, lambda seconds=seconds: setattr(site, "unreadable_until", site.now + seconds))  # type: ignore[misc]
    for moment, routers, anew, every in plan.forgets:
        site.at(moment, partial(site.forget, *routers, anew=anew, every=every))
    one_vassal = TIMEOUT * 2 + plan.settings.drain_timeout + 20.0
    limit = 100.0 + (len(plan.vassals) + 2) * one_vassal
    outcome = rolling.run(site, plan.settings, known_keys=known, tick=0.1, limit=limit)
    assert outcome.result in {"done", "failed", "timed-out", "refused"}
    assert outcome.result != "done" or set(outcome.phases().values()) <= {"done", "withdrawn"}
    assert outcome.result == "done" or outcome.roll["reason"]
    if outcome.result == "done":
        old = [id_ for id_, phase in outcome.phases().items() if phase == "done" and _runs_old_code(site, id_)]
        assert not old, f"the roll is done, and {old} run code of before the trigger"


def _runs_old_code(site: WatchedSite, id_: str) -> bool:
    one = site.vassals[id_]
    return one.present and one.accepting and one.code_since < 0


with_limits = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not SOAK,  # the soak is what looks for new worlds
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("part", range(PARTS))
@given(plan=plans(most=50))
@with_limits
def test_random_sites_keep_the_promise(part: int, plan: Plan) -> None:
    note(f"part {part}: {plan}")
    play(plan)


@pytest.mark.parametrize("part", range(PARTS))
@given(plan=troubled())
@with_limits
def test_small_sites_in_trouble_keep_the_promise(part: int, plan: Plan) -> None:
    note(f"part {part}: {plan}")
    play(plan)
