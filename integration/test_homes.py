"""The hook's four homes: the same rolls, the same promise, the same status file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from integration.client import Client
from integration.farm import HOOK
from integration.layout import HOMES, App, Layout
from integration.processes import Process
from integration.test_roll import roll_under_load
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

EIGHT = App(vassals=8, load_seconds=0.3)
MINIMUM = "reload-hook-minimum-active-vassals"
MINIMUMS = (1, 4)
# What fails once is kept down, so that every home sees the same end of it.
KEEP_DOWN = "emperor-throttle = 60000"

# A death has words for each moment that it can be seen at: cursed, gone, blacklisted, or started again already.
DEATH = re.compile(r"(?:its process ended|died|does not start)[^;]*; see its log \S+")

Told = list[dict[str, Any]]
TOLD: dict[tuple[str, int], Told] = {}


def story(start: Callable[[Layout], Farm], home: str, minimum: int) -> Told:
    """A good deploy and then a broken one, under load; what the status file said after each."""
    if (home, minimum) in TOLD:
        return TOLD[home, minimum]
    farm = start(Layout(apps=(EIGHT,), hook=(f"{MINIMUM} = {minimum}",), home=home, instance_lines=(KEEP_DOWN,)))
    with Watcher(farm) as watcher:
        with Client(farm) as client:
            done = roll_under_load(farm, client)
        told = [farm.status()]
        assert told[0]["state"] == "idle"
        renewed = farm.workers()
        with Client(farm) as client:
            farm.deploy("broken")
            farm.touch_trigger()
            held = farm.wait_result(done)
            told.append(farm.status())
        sighting = watcher.stop()
    assert told[1]["state"] == "held"
    assert held["result"] == "failed"
    (lost,) = [vassal for vassal, entry in held["vassals"].items() if entry["phase"] == "failed"]
    assert {entry["phase"] for vassal, entry in held["vassals"].items() if vassal != lost} == {"pending"}
    assert all(farm.workers()[vassal] == workers for vassal, workers in renewed.items() if vassal != lost)
    assert client.failed == []
    assert {answer.version for answer in client.answers} == {"new"}
    assert sighting.minimum() == minimum, sighting
    if home == "shell":
        assert [command.wait() for command in farm.commands] == [0, 1]
    TOLD[home, minimum] = told
    return told


@pytest.mark.parametrize("minimum", MINIMUMS)
@pytest.mark.parametrize("home", HOMES)
def test_a_good_deploy_reaches_all_and_a_broken_one_the_canary(
    start: Callable[[Layout], Farm], home: str, minimum: int
) -> None:
    for document in story(start, home, minimum):
        assert document["hook"]["mode"] == home


@pytest.mark.parametrize("minimum", MINIMUMS)
def test_the_same_story_is_told_the_same_way_in_every_home(start: Callable[[Layout], Farm], minimum: int) -> None:
    stories = {home: story(start, home, minimum) for home in HOMES}
    for told in stories.values():
        assert [comparable(document) for document in told] == [comparable(document) for document in stories["mule"]]
    for home, told in stories.items():
        own = {HOOK: "the hook's own vassal"} if home in {"mule", "vassal"} else {}
        assert [document["roll"]["left_alone"] for document in told] == [own, own]


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """A status document without what must differ: times, pids, the roll's id, the home, and the hook's own vassal."""
    roll = {name: value for name, value in document["roll"].items() if name not in {"id", "left_alone"}}
    plain: dict[str, Any] = without_times({**document, "hook": dict.fromkeys(document["hook"]), "roll": roll})
    return plain


def without_times(value: Any, name: str = "") -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(value, dict):
        return {key: without_times(one, key) for key, one in value.items()}
    if isinstance(value, str):
        return DEATH.sub("it died", value)
    is_time = isinstance(value, float) or name == "mtime_ns"
    return "a time" if is_time else value


def test_the_attached_vassal_has_no_uwsgi_in_it(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), home="vassal"))
    pid = farm.vassal_stats()[HOOK]["pid"]
    assert farm.status()["hook"]["pid"] == pid
    assert psutil.Process(pid).children() == []
    mapped = Path(f"/proc/{pid}/maps").read_text()
    assert "uwsgi" not in {Path(line.split()[-1]).name for line in mapped.splitlines() if line.split()}
    assert "uwsgi" not in Path(f"/proc/{pid}/exe").resolve().name
    entry = farm.vassal_stats()[HOOK]
    assert (entry["accepting"], entry["ready"], entry["loyal"]) == (1, 1, 1)


def test_a_privileged_binary_patch(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), home="vassal", patch="privileged"))
    before = farm.workers()
    assert farm.roll_now()["result"] == "done"
    assert all(renewed.isdisjoint(before[vassal]) for vassal, renewed in farm.workers().items())


def test_the_attached_vassal_reloads_and_stops_at_once(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), home="vassal"))
    pid, first = farm.vassal_stats()[HOOK]["pid"], farm.status()["hook"]["started"]
    (farm.vassals / HOOK).touch()
    farm.emperor()  # makes it scan
    again = eventually(lambda: hook if (hook := farm.status()["hook"])["started"] > first else None, "the hook anew")
    assert again["pid"] == pid, "it executed itself anew"
    assert farm.vassal_stats()[HOOK]["respawns"] == 1
    assert farm.roll_now()["result"] == "done"
    process = Process.of(pid)
    farm.remove_vassal(HOOK)
    eventually(lambda: not psutil.pid_exists(process.pid), "the hook gone", 20)
    assert "another hook" not in farm.log()
