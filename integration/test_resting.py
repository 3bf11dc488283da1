"""Vassals that rest: without a worker until a request comes, with nobody who accepts, or in maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from integration import layout as layouts
from integration.client import Client, fetch
from integration.layout import App, Layout
from integration.mid_roll import add_like, live, phases
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

MINIMUM = "reload-hook-minimum-active-vassals"
CHEAP = App(vassals=3, load_seconds=0.3, start_unsubscribed=False, lines=("cheap = true",))


def assert_reloaded_once(farm: Farm, roll: dict[str, Any]) -> None:
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(phases(roll), "done")
    respawns = {vassal: entry["respawns"] for vassal, entry in farm.vassal_stats().items() if vassal != "hook.ini"}
    assert respawns == dict.fromkeys(phases(roll), 1)


def most_at_once(roll: dict[str, Any]) -> int:
    """How many vassals the roll had out of service at the same time, at most."""
    times: list[tuple[float, float]] = [(one["started"], one["finished"]) for one in roll["vassals"].values()]
    return max(sum(start <= moment < end for start, end in times) for moment, _ in times)


@pytest.mark.parametrize("tcp", [False, True])
def test_cheap_vassals_are_rolled_while_nobody_asks_them(start: Callable[[Layout], Farm], *, tcp: bool) -> None:
    app = App(vassals=3, load_seconds=0.3, start_unsubscribed=False, tcp=tcp, lines=("cheap = true",))
    farm = start(Layout(apps=(app,), hook=(f"{MINIMUM} = 2",)))
    farm.deploy("new")
    roll = farm.roll_now(30)
    assert_reloaded_once(farm, roll)
    assert most_at_once(roll) == 1
    assert not any(farm.workers().values()), "nobody has asked them anything"
    assert fetch(farm.http_port, "app.test").version == "new"


def test_cheap_vassals_are_rolled_under_load(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(CHEAP,), hook=(f"{MINIMUM} = 2",)))
    farm.deploy("new")
    with Client(farm, threads=2) as client:
        eventually(lambda: len(client.answers) > 20, "answers before the touch")
        roll = farm.roll_now(30)
    assert_reloaded_once(farm, roll)
    assert client.failed == []
    assert fetch(farm.http_port, "app.test").version == "new"


def test_cheap_vassals_whose_new_code_does_not_load_stop_the_roll(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(CHEAP,)))
    farm.deploy("broken")
    roll = farm.roll_now(30)
    assert roll["result"] == "failed"
    assert sorted(phases(roll).values()) == ["failed", "pending", "pending"]
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"old"}


def test_a_vassal_that_sleeps_after_idle_is_rolled(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.2, lines=("idle = 1",)),)))
    eventually(lambda: not any(farm.workers().values()), "every worker asleep")
    farm.deploy("new")
    roll = farm.roll_now(30)
    assert_reloaded_once(farm, roll)
    assert fetch(farm.http_port, "app.test").version == "new"


def test_a_cheap_vassal_without_a_router_is_rolled(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0.2),), hook=(f"{MINIMUM} = 0",)))
    app = farm.layout.apps[0]
    text = layouts.app_ini(farm.directory, app, farm.subscription_server)
    kept = [line for line in text.splitlines() if not line.startswith(("subscribe", "start-unsub", "hook-accepting"))]
    farm.add_vassal("direct.ini", "\n".join([*kept, "cheap = true", ""]))
    eventually(lambda: (one := farm.vassal("direct.ini")) and one["ready"], "direct.ini spawned")
    assert_reloaded_once(farm, farm.roll_now(30))


@pytest.mark.parametrize("lines", [("cron2 = minute=-1 true",), ("cron2 = minute=-1 true", "mule = true")])
def test_a_vassal_of_crons_only_is_rolled(start: Callable[[Layout], Farm], lines: tuple[str, ...]) -> None:
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0.2),), hook=(f"{MINIMUM} = 0",)))
    farm.add_vassal("cron.ini", layouts.ini(["master = true", "processes = 0", *lines]))
    eventually(lambda: farm.vassal("cron.ini") and "vassal cron.ini has been spawned" in farm.log(), "cron.ini spawned")
    assert_reloaded_once(farm, farm.roll_now(30))


MAINTENANCE = "check=%d../run/%n.maintenance"


def maintained(farm: Farm, vassal: str) -> None:
    """Adds a vassal that announces itself only while `run/NAME.maintenance` is not there; it is there now."""
    (farm.directory / "run" / f"{vassal.removesuffix('.ini')}.maintenance").touch()
    server = farm.subscription_server
    line = f"subscribe2 = server={server},key=app.test,{MAINTENANCE}"
    add_like(farm, vassal, farm.layout.apps[0], (f"subscribe-to = {server}:app.test", line))
    eventually(lambda: (one := farm.vassal(vassal)) and one["accepting"], f"{vassal} accepts")


def test_a_vassal_in_maintenance_is_reloaded_last_and_not_awaited(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.2),)))
    maintained(farm, "app-0.ini")
    farm.deploy("new")
    with Client(farm) as client:
        roll = farm.roll_now(30)
    assert_reloaded_once(farm, roll)
    assert max(roll["vassals"], key=lambda id_: roll["vassals"][id_]["started"]) == "app-0.ini"
    assert live(farm) == {"app-1.ini", "app-2.ini"}
    assert client.failed == []


def test_a_vassal_that_goes_into_maintenance_stays_out_of_the_router(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.2),)))
    maintained(farm, "app-0.ini")
    file = farm.directory / "run" / "app-0.maintenance"
    file.unlink()
    eventually(lambda: "app-0.ini" in live(farm), "app-0.ini announces itself")
    file.touch()
    roll = farm.roll_now(30)
    assert_reloaded_once(farm, roll)
    assert live(farm) == {"app-1.ini", "app-2.ini"}
