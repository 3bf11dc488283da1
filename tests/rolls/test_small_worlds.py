"""Every small world: up to 5 vassals, minimum 0 to 5, with and without canary, every subset failing in every way.

The promise is checked at every act (`WatchedSite`) and every step (`WatchingRecorder`, interruptions included); here is
what has to be true at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.rolling import Outcome, WatchedSite, a_site, run, settings
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.settings import Minimum

TIMEOUT = 6.0
TICK = 0.1
FAULTS: dict[str, dict[str, object]] = {
    "broken": {"broken": True},
    "broken before any request": {"broken": True, "loyal": False},
    "hangs": {"hangs": True},
    "touch refused": {"touch_refused": True},
    "touch unnoticed": {"touch_unnoticed": True},
    "not subscribed": {"deaf_router": True},
    "bad answers": {"answers": "500 Internal Server Error"},
    "signed": {"signed": True},
    "slow drain": {"busy_until": 2.5},
    "announces in drain": {"busy_until": 2.5, "announces_in_drain": True},
}
HARMLESS = {"signed", "slow drain", "announces in drain"}
KEEPS_SERVING = {"touch refused", "touch unnoticed"}


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    for size in range(1, count + 1):
        yield from itertools.combinations(range(count), size)


class World(NamedTuple):
    size: int
    minimum: int
    canary: int
    fault: str
    failing: tuple[int, ...]


def build(world: World) -> WatchedSite:
    faults = {f"v{number}": FAULTS[world.fault] for number in world.failing}
    return a_site(world.size, world.minimum, first=0, each={"load": 1.0}, **faults)


def judge(outcome: Outcome, world: World) -> None:
    count, minimum, canary, fault, failing = world
    phases = outcome.phases()
    if minimum >= count:
        assert outcome.result == "refused"
        assert not outcome.site.performed
        return
    expected = "failed" if failing and fault not in HARMLESS else "done"
    assert outcome.result == expected, outcome.roll["reason"]
    lost = [id_ for id_, phase in phases.items() if phase == "failed"]
    assert all(f"v{number}.ini" in lost or phases[f"v{number}.ini"] == "pending" for number in failing) or (
        fault in HARMLESS
    )
    if canary and 0 in failing and fault not in HARMLESS:
        assert lost == ["v0.ini"], "the first vassal is the canary, and the only one lost"
    assert len(lost) <= count - minimum
    for id_, phase in phases.items():
        code = outcome.site.vassals[id_].code_since
        assert (code >= 0) == (phase == "done" or (phase == "failed" and code >= 0)), f"{id_} is {phase}"
    outcome.site.pass_time(15.0)
    kept = count - (0 if fault in KEEPS_SERVING | HARMLESS else len(lost))
    assert outcome.site.serving("app") >= kept, "who was drained got no traffic back"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_small_world_keeps_the_promise(count: int, fault: str) -> None:
    worlds = 0
    for minimum, canary, failing in itertools.product(range(6), (0, 1), subsets(count)):
        world = World(count, minimum, canary, fault, failing)
        given = settings(minimum_active_vassals=Minimum(minimum), canary=canary, timeout=TIMEOUT, probe=Probe("/"))
        outcome = run(build(world), given, tick=TICK, limit=(count + 2) * (TIMEOUT + 3.0))
        judge(outcome, world)
        worlds += 1
    assert worlds == 12 * (2**count - 1)


FORGETS: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "once": ((0.0, ("east", "west")),),
    "twice": ((0.0, ("east", "west")), (3.1, ("east", "west"))),
    "one of two routers": ((0.0, ("west",)),),
    "one after the other": ((0.0, ("west",)), (1.3, ("east",))),
}
"""Seconds after the first of them, and the routers that forget."""


@pytest.mark.parametrize(("anew", "every"), [(True, 10.0), (False, 10.0), (True, 60.0), (False, 60.0)])
@pytest.mark.parametrize("forgets", FORGETS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_small_world_keeps_the_promise_when_routers_forget(
    count: int, forgets: str, *, anew: bool, every: float
) -> None:
    """`anew` false: the nodes vanish, and nothing shows that the router is another process.

    Vassals announce themselves again within `every` seconds.
    """
    moments = (0.05, 0.5, 1.2, 2.3, 3.4, 4.5) if every == 10.0 else (0.5, 2.3)
    for minimum, canary, first in itertools.product(range(6), (0, 1), moments):
        site = a_site(count, minimum, first=0, each={"load": 1.0, "routers": ("east", "west")})
        for later, routers in FORGETS[forgets]:
            site.at(first + later, lambda site=site, routers=routers: site.forget(*routers, anew=anew, every=every))  # type: ignore[misc]
        given = settings(
            minimum_active_vassals=Minimum(minimum), canary=canary, canary_time=0.0, timeout=every + TIMEOUT
        )
        outcome = run(site, given, tick=TICK, limit=300.0)
        assert outcome.result == ("refused" if minimum >= count else "done"), outcome.roll["reason"]
        if minimum < count:
            assert all(one.code_since >= 0 for one in site.vassals.values())
            site.pass_time(every + 5.0)
            assert site.serving("app") == count
