"""On-demand vassals: one that runs is rolled, one that sleeps needs nothing, and one may fall asleep in a roll."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration.layout import App, Layout
from integration.mid_roll import held, phases, wait_phases
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.farm import Farm

APP = App(vassals=2, load_seconds=0)
LAYOUT = Layout(apps=(APP,), instance_lines=("emperor-on-demand-extension = .socket",))
SLEEPS = "it sleeps on demand: whatever connects to it next starts it with the new code"


def add_on_demand(farm: Farm, name: str, *lines: str) -> None:
    """Adds a vassal that the Emperor starts when something connects to its socket, with code of its own."""
    (farm.directory / name).mkdir()
    (farm.directory / name / "load").write_text("0")
    farm.deploy("old", name)
    (farm.vassals / f"{name}.ini.socket").write_text(f"{farm.directory}/run/{name}.sock\n")
    app = [f"wsgi-file = {layouts.HERE}/wsgi_app.py", f"env = APP_DIRECTORY={farm.directory}/{name}", "env = VASSAL=%n"]
    config = ["master = true", "processes = 1", "need-app = true", *app, *layouts.environment_lines(), *lines]
    farm.add_vassal(f"{name}.ini", layouts.ini(config))
    eventually(lambda: farm.vassal(f"{name}.ini"), f"{name} known to the Emperor")


@contextmanager
def connected(farm: Farm, name: str) -> Iterator[None]:
    """Something has connected to the vassal, and stays; the vassal accepts."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(farm.directory / "run" / f"{name}.sock"))
        eventually(lambda: (farm.vassal(f"{name}.ini") or {}).get("accepting"), f"{name} accepts")
        yield


def wake(farm: Farm, name: str) -> None:
    with connected(farm, name):
        pass


def pid(farm: Farm, name: str) -> int:
    return int((farm.vassal(f"{name}.ini") or {})["pid"])


@pytest.mark.parametrize("sleeper", ["none", "one"])
def test_a_running_on_demand_vassal_is_rolled_and_a_sleeping_one_left(
    start: Callable[[Layout], Farm], sleeper: str
) -> None:
    farm = start(LAYOUT)
    add_on_demand(farm, "nap")
    if sleeper == "one":
        add_on_demand(farm, "rest")
    wake(farm, "nap")
    before, workers = pid(farm, "nap"), farm.children("nap.ini")
    roll = farm.roll_now()
    assert roll["result"] == "done", roll
    assert phases(roll)["nap.ini"] == "done"
    assert pid(farm, "nap") == before
    assert farm.children("nap.ini").isdisjoint(workers)
    assert roll["left_alone"].get("rest.ini") == (SLEEPS if sleeper == "one" else None)


def test_a_roll_of_sleeping_vassals_alone_is_refused_with_their_reason(start: Callable[[Layout], Farm]) -> None:
    farm = start(LAYOUT)
    add_on_demand(farm, "rest")
    before = farm.roll()
    farm.trigger.write_text("only=rest*\n")
    roll = farm.wait_result(before)
    assert roll["result"] == "refused"
    assert f"rest.ini: {SLEEPS}" in roll["reason"]
    assert pid(farm, "rest") == -1


def test_an_on_demand_vassal_whose_new_code_does_not_load_stops_the_roll(start: Callable[[Layout], Farm]) -> None:
    farm = start(replace(LAYOUT, hook=("reload-hook-maximum-parallel = 1",)))
    for name in ("nap", "rest"):
        add_on_demand(farm, name)
        wake(farm, name)
        farm.deploy("broken", name)
    rest = farm.children("rest.ini")
    roll = farm.roll_now()
    assert roll["result"] == "failed", roll
    assert (phases(roll)["nap.ini"], phases(roll)["rest.ini"]) == ("failed", "pending")
    assert farm.children("rest.ini") == rest


def test_a_vassal_that_falls_asleep_before_its_turn_needs_nothing(start: Callable[[Layout], Farm]) -> None:
    farm = start(LAYOUT)
    add_on_demand(farm, "nap", "idle = 1", "die-on-idle = true")
    before = farm.roll()
    with connected(farm, "nap"), held(farm):
        farm.touch_trigger()
        wait_phases(farm, 1, "restarting")
        assert phases(farm.roll())["nap.ini"] == "pending"
        eventually(lambda: pid(farm, "nap") == -1, "nap sleeps")
        wait_phases(farm, 1, "withdrawn")
    roll = farm.wait_result(before)
    assert (roll["result"], roll["vassals"]["nap.ini"]["reason"]) == ("done", SLEEPS)


def test_a_vassal_that_falls_asleep_after_its_reload_stays_done(start: Callable[[Layout], Farm]) -> None:
    farm = start(replace(LAYOUT, hook=("reload-hook-canary-time = 8",)))
    add_on_demand(farm, "nap", "idle = 2", "die-on-idle = true")
    before = farm.roll()
    with connected(farm, "nap"):
        farm.trigger.write_text("only=nap*\n")
        wait_phases(farm, 1, "done")
        eventually(lambda: pid(farm, "nap") == -1, "nap sleeps")
        assert farm.roll()["result"] is None
    roll = farm.wait_result(before)
    assert (roll["result"], phases(roll)["nap.ini"]) == ("done", "done")
