"""Vassals that no router lists: whether they have time to announce themselves, and which router is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import APP, WALL, a_node, a_progress, a_roll, a_snapshot, a_subscribed_vassal, a_vassal
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import absence
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

NOW = 50.0
LISTED, LOST = a_subscribed_vassal("a"), a_vassal("a")


def context(*vassals: Vassal, now: float = NOW, **given: object) -> Context:
    return Context(a_snapshot(*vassals, **given), settings(), now)


@pytest.mark.parametrize(
    ("there", "keys", "expected"),
    [
        (LISTED, APP, None),
        (LISTED, APP | {"other"}, NOW),
        (LOST, APP, NOW),
        (LOST, frozenset(), NOW),
        (replace(LOST, may_subscribe=False), frozenset(), None),
        (replace(LOST, accepting=False), APP, None),
    ],
)
def test_absence_is_noted_from_the_first_look_on(there: Vassal, keys: frozenset[str], expected: float | None) -> None:
    one = a_progress("a", keys=keys)
    assert absence.note_absence(one, there, context(there)).unseen_since == expected
    before = one._replace(unseen_since=NOW - 5)
    assert absence.note_absence(before, there, context(there)).unseen_since == (expected and NOW - 5)


@pytest.mark.parametrize(
    ("age", "accepting", "expected"),
    [(0.0, True, True), (ANNOUNCE_WAIT - 0.1, True, True), (ANNOUNCE_WAIT, True, False), (0.0, False, False)],
)
def test_a_vassal_is_awaited_while_it_accepts_and_has_time(age: float, *, accepting: bool, expected: bool) -> None:
    there = replace(LOST, accepting=accepting)
    assert absence.is_awaited(a_progress("a", unseen_since=NOW - age), there, context(there)) is expected
    assert not absence.is_awaited(a_progress("a"), there, context(there))


def test_a_silent_node_of_an_accepting_vassal_may_still_get_requests() -> None:
    silent, dead = a_node(last_check=0), a_node(address="/run/dead.sock", last_check=0, death_mark=True)
    old = replace(LOST, nodes=(silent, dead))
    assert absence.routed(old, a_snapshot(old)) == (silent,)
    mixed = replace(LOST, nodes=(*LISTED.nodes, silent))
    known = a_snapshot(mixed, tolerances={"router": 17.0}, clocks={"router": WALL})
    assert absence.routed(mixed, known) == LISTED.nodes
    assert absence.routed(mixed, a_snapshot(mixed)) == mixed.nodes, "its router may tolerate any silence"
    hung = replace(old, accepting=False)
    assert absence.routed(hung, a_snapshot(hung, tolerances={"router": 17.0}, clocks={"router": WALL})) == ()


def test_a_router_that_is_another_process_has_forgotten_its_vassals() -> None:
    roll = a_roll(routers={"east": 1, "west": 2}, forgot={"north": 3.0})
    noted = absence.note_routers(roll, context(routers={"east": 1, "west": 9, "south": 4}))
    assert noted.routers == {"east": 1, "west": 9, "south": 4}
    assert noted.forgot == {"north": 3.0, "west": NOW}


def lacks(one: Progress, *vassals: Vassal, age: float = 1.0) -> str:
    roll = a_roll(one, forgot={"router": NOW - age}, key_routers={"app": frozenset({"router"})})
    return absence.unsettled(roll, context(*vassals))


def test_a_restarted_router_is_waited_for_while_it_lacks_an_accepting_vassal() -> None:
    one = a_progress("a", keys=APP)
    assert lacks(one, LOST) == "router"
    assert lacks(one, LOST, age=ANNOUNCE_WAIT) == ""
    assert lacks(one, LISTED) == ""
    assert lacks(one, replace(LOST, accepting=False)) == ""
    assert lacks(one._replace(phase=Phase.DRAINING), LOST) == "", "the roll announces it"
    assert lacks(one._replace(keys=frozenset({"other"})), LOST) == "", "another router's key"
    elsewhere = replace(LOST, nodes=(a_node(router="other"),))
    assert lacks(one, elsewhere) == "router"


def test_each_key_knows_the_routers_that_send_it_requests() -> None:
    nodes = (a_node(router="east"), a_node(router="west"), a_node(router="west", key="other"))
    seen: Snapshot = a_snapshot(replace(LOST, nodes=(*nodes, a_node(router="dead", death_mark=True))))
    assert absence.key_routers(seen) == {"app": {"east", "west"}, "other": {"west"}}


def test_a_router_that_was_restarted_may_take_packets_again() -> None:
    roll = a_roll(routers={"east": 1, "west": 2}, ignored_by=frozenset({"east", "west"}))
    assert absence.note_routers(roll, context(routers={"east": 1, "west": 9})).ignored_by == {"east"}
