"""On-demand vassals: one that runs is rolled, one that sleeps needs nothing, and one may fall asleep in a roll."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration.client import Client
from integration.layout import App, Layout
from integration.mid_roll import held, nodes, phases, wait_phases
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


STATS = ("emperor-stats-server = %demperor.stats", "fastrouter-stats-server = %drouter.stats")
# So that the hook may have to search the Emperor's sockets, those of sleeping vassals among them.
IN_LOOPS = (
    *("for = emperor", "emperor-stats-server = %d%(_).stats", "endfor ="),
    *("for = router", "fastrouter-stats-server = %d%(_).stats", "endfor ="),
)


@pytest.mark.parametrize("lines", [STATS, IN_LOOPS], ids=["plain", "loops"])
def test_where_every_vassal_is_on_demand_those_that_run_roll_under_load(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    """With emperor-on-demand-directory the hook sleeps too, until something connects to it."""
    on_demand = ("emperor-on-demand-directory = %drun", *lines)
    farm = start(Layout(apps=(), hook=None, stats_servers=False, instance_lines=on_demand))
    eventually((farm.directory / "router.stats").exists, "the stats of Emperor and router")
    app = App(vassals=3, load_seconds=0.2)
    add_app(farm, app)
    farm.add_hook("hook.ini", layouts.trigger_line(farm.directory))
    for name in ("app-1", "app-2", "hook"):
        connect(farm, name)
    farm.wait_hook()
    eventually(lambda: len(nodes(farm, app.key)) == 2, "two run and are subscribed")
    assert pid(farm, "app-3") == -1, "the hook's start has woken nobody"
    workers = {vassal: farm.children(vassal) for vassal in app.ids[:2]}
    with Client(farm, keys=(app.key,)) as client:
        roll = farm.roll_now()
    assert (roll["result"], client.failed) == ("done", []), roll
    assert phases(roll) == {"app-1.ini": "done", "app-2.ini": "done"}
    assert roll["left_alone"]["app-3.ini"] == SLEEPS
    assert all(farm.children(vassal).isdisjoint(workers[vassal]) for vassal in app.ids[:2])


def add_app(farm: Farm, app: App) -> None:
    """Adds the vassals of an application to a farm that was started without any."""
    (farm.directory / app.name).mkdir()
    (farm.directory / app.name / "load").write_text(str(app.load_seconds))
    farm.deploy("old", app.name)
    for vassal in app.ids:
        farm.add_vassal(vassal, layouts.app_ini(farm.directory, app, farm.subscription_server))
    eventually(lambda: {*app.ids} <= farm.vassal_stats().keys(), "all known to the Emperor")


def connect(farm: Farm, name: str) -> None:
    """Wakes a vassal by its socket in the on-demand directory."""
    path = farm.directory / "run" / f"{name}.socket"
    eventually(path.exists, f"{path} bound")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        eventually(lambda: pid(farm, name) > 0, f"{name} runs")
