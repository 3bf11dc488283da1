"""A deploy that fails on import costs the canary and no request; the next good one starts with what was lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from integration.client import Client
from integration.layout import App, Layout
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm
    from integration.processes import Process

# What fails once is kept down for a minute, unless somebody clears the Emperor's blacklist.
KEEP_DOWN = "emperor-throttle = 60000"


def test_a_broken_import_loses_the_canary_and_nothing_else(start: Callable[[Layout], Farm]) -> None:
    layout = Layout(
        apps=(App(vassals=4, load_seconds=0.3),),
        hook=("reload-hook-minimum-active-vassals = 2",),
        instance_lines=(KEEP_DOWN,),
    )
    farm = start(layout)
    workers = farm.workers()
    with Watcher(farm) as watcher, Client(farm) as client:
        farm.deploy("broken")
        farm.touch_trigger()
        eventually(lambda: farm.status()["state"] == "held", "held")
        held = time.time()
        status = farm.status()
        roll = status["roll"]
        assert held - farm.breaks()[0] <= 3
        assert roll["result"] == "failed"
        assert roll["reason"]
        (lost,) = [vassal for vassal, entry in roll["vassals"].items() if entry["phase"] == "failed"]
        assert lost in roll["reason"]
        assert {entry["phase"] for vassal, entry in roll["vassals"].items() if vassal != lost} == {"pending"}
        assert roll["vassals"][lost]["reason"]
        assert_lost(farm, lost, workers)
        recover(farm, lost)
        client.stop()
        sighting = watcher.stop()
    assert client.failed == []
    assert {answer.version for answer in client.answers} == {"old", "new"}
    assert sighting.minimum() >= 2, sighting


def test_new_code_that_dies_a_second_after_it_accepts_costs_the_canary_only(
    start: Callable[[Layout], Farm],
) -> None:
    farm = start(Layout(apps=(App(vassals=4, load_seconds=0.3),)))
    workers = farm.workers()
    with Watcher(farm) as watcher:
        farm.deploy("dying")
        roll = farm.roll_now()
        sighting = watcher.stop()
    assert roll["result"] == "failed"
    (lost,) = [vassal for vassal, entry in roll["vassals"].items() if entry["phase"] == "failed"]
    assert roll["reason"].startswith(f"{lost}: after it was done: ")
    others = set(farm.app_ids()) - {lost}
    assert {roll["vassals"][vassal]["phase"] for vassal in others} == {"pending"}
    renewed = farm.workers()
    assert all(renewed[vassal] == workers[vassal] for vassal in others)
    assert sighting.minimum() >= 3, sighting
    farm.deploy("new")
    assert farm.roll_now()["result"] == "done"


def assert_lost(farm: Farm, lost: str, workers: dict[str, frozenset[Process]]) -> None:
    """The canary is down and out of the router, the others are as they were."""
    eventually(lambda: [item["id"] for item in farm.emperor()["blacklist"]] == [lost], "blacklisted")
    others = {vassal: entry for vassal, entry in farm.vassal_stats().items() if vassal in farm.app_ids()}
    assert {vassal: (entry["accepting"], entry["respawns"]) for vassal, entry in others.items()} == dict.fromkeys(
        set(farm.app_ids()) - {lost}, (1, 0)
    )
    renewed = farm.workers()
    assert all(renewed[vassal] == workers[vassal] for vassal in others)
    assert sum(len(slot["nodes"]) for slot in farm.router()["subscriptions"]) == 3


def recover(farm: Farm, lost: str) -> None:
    farm.deploy("new")
    started = time.monotonic()
    roll = farm.roll_now(seconds=30)
    assert roll["result"] == "done", roll["reason"]
    # The Emperor would have kept it down for a minute.
    assert time.monotonic() - started < 30
    first = min(roll["vassals"], key=lambda vassal: roll["vassals"][vassal]["started"])
    assert first == lost
    finished = roll["vassals"][lost]["finished"]
    assert all(entry["started"] >= finished for vassal, entry in roll["vassals"].items() if vassal != lost)
    farm.wait_subscribed()
    assert farm.status()["state"] == "idle"
