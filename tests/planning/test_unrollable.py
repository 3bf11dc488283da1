"""Keys without room: their vassals are left, the others are rolled, and the result is not `done`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.test_planner import NOW, opened, vassal
from tests.support.build import a_snapshot, a_subscribed_vassal, in_phase
from tests.support.rolling import WatchedSite, run, settings
from tests.support.simulator import FakeVassal
from uwsgi_reload_hook.minimum_spec import Minimum
from uwsgi_reload_hook.planning import planner
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Result, Stage
from uwsgi_reload_hook.snapshot import Vassal


def shop(number: int) -> Vassal:
    return a_subscribed_vassal(f"shop-{number}.ini", "shop", pid=number)


BLOG = a_subscribed_vassal("blog.ini", "blog", pid=9)
BOTH = a_subscribed_vassal("both.ini", "shop", "blog", pid=8)


def test_the_vassals_of_a_key_without_room_are_left_alone() -> None:
    roll = opened(a_snapshot(shop(1), shop(2), BLOG))
    assert (list(roll.vassals), roll.result) == (["shop-1.ini", "shop-2.ini"], None)
    assert roll.excluded == {"blog.ini": "key blog has 1 vassal and the minimum is 1, so none can be reloaded"}
    assert roll.left.startswith(roll.excluded["blog.ini"])
    assert roll.minimum == {"shop": 1, "blog": 1}
    assert roll.excluded_keys == {"blog.ini": frozenset({"blog"})}


def test_a_vassal_of_two_keys_needs_room_under_both() -> None:
    roll = opened(a_snapshot(shop(1), shop(2), BOTH))
    assert list(roll.vassals) == ["shop-1.ini", "shop-2.ini"]
    assert opened(a_snapshot(shop(1), shop(2), BOTH, BLOG)).left == ""


def test_where_nobody_would_remain_the_roll_is_refused_for_every_key() -> None:
    roll = opened(a_snapshot(shop(1), BLOG))
    assert (roll.result, sorted(roll.vassals)) == (Result.REFUSED, ["blog.ini", "shop-1.ini"])
    assert roll.reason.startswith(
        "key blog has 1 vassal and the minimum is 1, so none can be reloaded and key shop has"
    )


@pytest.mark.parametrize(("blog", "left"), [(0, False), (1, True), (2, True)])
def test_each_key_has_the_minimum_that_is_given_for_it(blog: int, *, left: bool) -> None:
    given = settings(minimum_active_vassals=Minimum(1, by_key=(("bl*", Minimum(blog)),)))
    roll = opened(a_snapshot(shop(1), shop(2), BLOG), given)
    assert (roll.minimum, bool(roll.left)) == ({"shop": 1, "blog": blog}, left)


def test_a_key_that_a_router_lists_late_is_left_late() -> None:
    roll = opened(a_snapshot(shop(1), shop(2), replace(BLOG, nodes=())))
    assert (len(roll.vassals), roll.left) == (3, "")
    waiting = replace(roll, stage=Stage.WAITING)
    step = planner.plan(a_snapshot(shop(1), shop(2), BLOG), waiting, settings(), NOW)
    assert sorted(step.roll.vassals) == ["shop-1.ini", "shop-2.ini"]
    assert step.roll.left.startswith("key blog has 1 vassal")
    again = planner.plan(a_snapshot(shop(1), shop(2), BLOG), step.roll, settings(), NOW + 1)
    assert again.roll.left == step.roll.left


def test_a_roll_that_has_left_a_key_ends_as_refused_and_counts_what_it_did() -> None:
    vassals = [
        *(FakeVassal(f"shop-{number}.ini", keys=("shop",)) for number in (1, 2, 3)),
        FakeVassal("blog.ini", keys=("blog",)),
    ]
    site = WatchedSite(vassals, {"shop": 1, "blog": 1})
    outcome = run(site, settings())
    assert outcome.result == "refused"
    assert outcome.roll["reason"].endswith("; the others were rolled: 3 vassals reloaded")
    assert "blog.ini" not in site.touches


def test_a_roll_whose_vassals_were_all_removed_is_not_done() -> None:
    roll = opened(a_snapshot(vassal(1), vassal(2)))
    gone = {"config_exists": False, "present": False, "accepting": False, "pid": 0, "nodes": ()}
    step = planner.plan(a_snapshot(vassal(1, **gone), vassal(2, **gone)), roll, settings(), NOW + 1)
    assert {one.phase for one in step.roll.vassals.values()} == {Phase.WITHDRAWN}
    assert step.roll.result is Result.REFUSED
    assert (
        step.roll.reason == "no vassal was left to roll: v1.ini: its config was removed; v2.ini: its config was removed"
    )


def test_one_removed_vassal_of_several_does_not_keep_a_roll_from_being_done() -> None:
    roll = in_phase(opened(a_snapshot(vassal(1), vassal(2))), v1=Phase.DONE, v2=Phase.WITHDRAWN)
    seen = a_snapshot(vassal(1), vassal(2, config_exists=False, present=False))
    done = {"v1.ini": roll.vassals["v1.ini"]._replace(before=roll.vassals["v1.ini"].before._replace(pid=101))}
    roll = replace(roll, vassals={**roll.vassals, **done})
    assert planner.plan(seen, roll, settings(canary=0), NOW + 9).roll.result is Result.DONE
