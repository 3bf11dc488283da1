"""Vassals that are in a router by the hook's packet alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import WALL, a_node, a_progress, a_roll, a_snapshot, a_vassal, ended, known
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import announcing
from uwsgi_reload_hook.planning.evidence import places_lost
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import HOOKS_LOAD, Snapshot, Vassal

HERS = a_node(load=HOOKS_LOAD)
"""A node whose last announcement was the hook's."""


def looked_at(vassal: Vassal, age: float = 0.0, tolerance: float | None = 17.0) -> Snapshot:
    tolerances = {} if tolerance is None else {"router": tolerance}
    return a_snapshot(vassal, tolerances=tolerances, clocks={"router": WALL + age})


@pytest.mark.parametrize(
    ("vassal", "silent"),
    [
        (a_vassal("a.ini", nodes=(HERS,), announces_itself=False), True),
        (a_vassal("a.ini", nodes=(HERS,), announces_itself=None), True),
        (a_vassal("a.ini", nodes=(HERS,), announces_itself=True), False),
        (a_vassal("a.ini", nodes=(a_node(),), announces_itself=False), False),
        (a_vassal("a.ini", nodes=(HERS,), announces_itself=False, accepting=False), False),
        (a_vassal("a.ini", nodes=(replace(HERS, death_mark=True),), announces_itself=False), False),
        (a_vassal("a.ini", nodes=(HERS,), announces_itself=False, foreign_keys=frozenset({"app"})), False),
    ],
)
def test_only_who_may_not_announce_itself_and_has_not_is_unheard(vassal: Vassal, silent: bool) -> None:
    assert bool(announcing.unheard(vassal, looked_at(vassal))) is silent


@pytest.mark.parametrize(
    ("age", "tolerance", "due"), [(4.9, 17.0, False), (5.0, 17.0, True), (3.0, 6.0, True), (5.0, None, True)]
)
def test_it_is_announced_again_well_within_the_tolerance(age: float, tolerance: float | None, due: bool) -> None:
    vassal = a_vassal("a.ini", nodes=(HERS,), announces_itself=False)
    acts = announcing.keep(looked_at(vassal, age, tolerance))
    assert [act.nodes for act in acts] == ([(HERS,)] if due else [])
    assert announcing.keep(looked_at(vassal, age, tolerance), {"a.ini"}) == ()


def test_a_roll_waits_for_its_word_as_long_as_it_may_take_and_then_names_it() -> None:
    vassal = a_vassal("a.ini", nodes=(HERS,), announces_itself=None, announce_wait=12.0)
    roll = a_roll(ended(a_progress("a.ini", Phase.DONE), at=10.0))
    seen = looked_at(vassal)
    assert announcing.are_awaited(roll, Context(seen, settings(), 21.9))
    assert not announcing.are_awaited(roll, Context(seen, settings(), 22.0))
    assert announcing.warning(roll, seen).startswith("a.ini did not announce themselves")
    heard = looked_at(a_vassal("a.ini", nodes=(a_node(),), announces_itself=None))
    assert not announcing.are_awaited(roll, Context(heard, settings(), 10.0))
    assert announcing.warning(roll, heard) == ""


def test_a_vassal_serves_again_once_it_is_at_every_router_that_had_it() -> None:
    east, west = a_node(router="east"), a_node(router="west")
    progress = known(a_progress("a.ini", keys=frozenset({"app"})), nodes=(east, west))
    both = {"east": 1, "west": 2}
    assert places_lost(progress, a_snapshot(a_vassal("a.ini", nodes=(east, west)), routers=both)) == []
    assert places_lost(progress, a_snapshot(a_vassal("a.ini", nodes=(east,)), routers=both)) == ["app at west"]
    assert places_lost(progress, a_snapshot(a_vassal("a.ini"), routers=both)) == ["app"]
    gone = a_snapshot(a_vassal("a.ini", nodes=(east,)), routers={"east": 1})
    assert places_lost(progress, gone) == []


def test_a_silent_node_is_dead_by_the_tolerance_and_the_clock_of_its_own_router() -> None:
    nodes = tuple(a_node(router=router) for router in ("near", "far", "unknown"))
    seen = a_snapshot(
        a_vassal("a.ini", nodes=nodes),
        tolerances={"near": 17.0, "far": 60.0},
        clocks={"near": WALL + 18, "far": WALL + 30, "unknown": WALL + 1000},
    )
    assert [node.router for node in seen.live["a.ini"]] == ["far", "unknown"]
