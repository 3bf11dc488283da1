"""A minimum for each key, and keys that have no room while others have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.client import Client
from integration.commands import Command
from integration.layout import App, Layout
from integration.processes import since_boot

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

SHOP = App(key="shop.test", vassals=4, load_seconds=0.2)
BLOG = App(key="blog.test", vassals=1, load_seconds=0.2, unsubscribes=False)
MINIMUM = "reload-hook-minimum-active-vassals"


@pytest.mark.parametrize(
    "lines",
    [
        (f"{MINIMUM} = blog.test=0",),
        (f"{MINIMUM} = 50%%", f"{MINIMUM} = blog.*=0"),
        (f"{MINIMUM} = *=2", f"{MINIMUM} = blog.test=0%%"),
    ],
    ids=["bare", "percentage", "globs"],
)
def test_a_key_of_one_vassal_pauses_where_its_own_minimum_is_0(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    farm = start(Layout(apps=(SHOP, BLOG), hook=lines))
    with Client(farm) as client:
        roll = farm.roll_now()
    assert roll["result"] == "done", roll
    assert len(roll["vassals"]) == 5
    assert (roll["minimum"]["blog.test"], client.failed) == (0, [])


def test_a_key_without_room_is_left_and_the_others_are_rolled(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(SHOP, BLOG)))
    blog, since = farm.children("blog-1.ini"), since_boot()
    with Client(farm) as client:
        command = Command("trigger", "--wait", farm.trigger)
        try:
            assert command.wait() == 5, command.said
        finally:
            command.end()
    assert client.failed == []
    roll = farm.roll()
    assert (roll["result"], sorted(roll["vassals"])) == ("refused", SHOP.ids)
    assert {entry["phase"] for entry in roll["vassals"].values()} == {"done"}
    assert "key blog.test has 1 vassal and the minimum is 1" in roll["reason"]
    assert "4 vassals reloaded" in roll["reason"]
    assert "key blog.test" in roll["left_alone"]["blog-1.ini"]
    assert farm.children("blog-1.ini") == blog
    assert all(worker.created >= since for vassal in SHOP.ids for worker in farm.children(vassal))


def test_an_only_that_leaves_a_key_without_room_is_refused_whole(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(SHOP, BLOG)))
    workers = farm.workers()
    before = farm.roll()
    farm.trigger.write_text("only=blog-*\n")
    roll = farm.wait_result(before)
    assert roll["result"] == "refused"
    assert roll["reason"].startswith("key blog.test has 1 vassal and the minimum is 1, so none can be reloaded")
    assert farm.workers() == workers
