"""Somebody else reloads vassals, too, so that a roll meets some that load already."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from integration.client import Client, fetch
from integration.layout import App, Layout
from integration.mid_roll import held, phases, wait_answers, wait_phases
from integration.waiting import eventually, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm


def reload_by_signal(farm: Farm, vassal: str) -> None:
    entry = farm.vassal(vassal)
    assert entry is not None
    os.kill(entry["pid"], signal.SIGHUP)


def reload_by_fifo(farm: Farm, vassal: str) -> None:
    with (farm.directory / "run" / f"{vassal.removesuffix('.ini')}.fifo").open("wb", buffering=0) as fifo:
        fifo.write(b"r")


def reload_by_touch(farm: Farm, vassal: str) -> None:
    (farm.directory / "run" / f"{vassal.removesuffix('.ini')}.touch").touch()


def make_touch_files(farm: Farm) -> None:
    """Makes the files of `touch-reload`, which reloads their vassals once, and waits until that is over."""
    before = farm.workers()
    for vassal in farm.app_ids():
        reload_by_touch(farm, vassal)
    renewed = lambda: all(now and not now & before[vassal] for vassal, now in farm.workers().items())  # noqa: E731
    eventually(renewed, "every vassal has new workers")
    farm.wait_subscribed()


def loading(farm: Farm, vassal: str) -> bool:
    """Whether its master has lost its workers, and has none yet."""
    entry = farm.vassal(vassal)
    return bool(entry and entry["accepting"] and not farm.children(vassal))


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_fifo, reload_by_touch])
@pytest.mark.parametrize("unsubscribes", [True, False])
def test_a_vassal_that_somebody_else_reloads_is_touched_when_it_has_loaded(
    start: Callable[[Layout], Farm], reload: Callable[[Farm, str], None], *, unsubscribes: bool
) -> None:
    app = App(vassals=3, load_seconds=0.3, unsubscribes=unsubscribes, lines=("touch-reload = %d../run/%n.touch",))
    farm = start(Layout(apps=(app,), symlinks=False))
    make_touch_files(farm)
    farm.deploy("new")
    with Client(farm) as client:
        wait_answers(client)
        with held(farm):
            reload(farm, "app-1.ini")
            eventually(lambda: loading(farm, "app-1.ini"), "app-1.ini loads")
            farm.touch_trigger()
            wait_phases(farm, 1, "draining", "touched", "restarting")
        roll = farm.wait_result({})
        answered = len(client.answers)
        eventually(lambda: len(client.answers) > answered + 50, "answers after the roll")
    assert roll["result"] == "done", roll["reason"]
    assert client.failed == []
    assert all(farm.children(vassal) for vassal in farm.app_ids()), "nobody loads after the roll"
    assert {answer.version for answer in client.answers[answered:]} == {"new"}


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_fifo, reload_by_touch])
def test_a_vassal_that_loads_by_somebody_else_is_not_touched_meanwhile(
    start: Callable[[Layout], Farm], reload: Callable[[Farm, str], None]
) -> None:
    """It would have accepted, and then have loaded a second time with requests in its socket."""
    app = App(vassals=3, load_seconds=0.3, unsubscribes=False, lines=("touch-reload = %d../run/%n.touch",))
    farm = start(Layout(apps=(app,), symlinks=False))
    make_touch_files(farm)
    with held(farm):
        reload(farm, "app-1.ini")
        eventually(lambda: loading(farm, "app-1.ini"), "app-1.ini loads")
        farm.touch_trigger()
        wait_phases(farm, 1, "draining", "touched", "restarting")
        assert observe(lambda: farm.vassal_stats()["app-1.ini"]["respawns"], 1) == {0}
    roll = farm.wait_result({})
    assert roll["result"] == "done", roll["reason"]
    assert farm.vassal_stats()["app-1.ini"]["respawns"] == 1


@pytest.mark.parametrize("home", ["mule", "host"])
def test_a_roll_waits_for_the_second_reload_of_a_vassal(start: Callable[[Layout], Farm], home: str) -> None:
    """An Emperor that is told to reload all tells those that load already to reload once more, and the hook, too."""
    hook = ("reload-hook-minimum-active-vassals = 0", "reload-hook-canary-time = 0")
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0.3),), home=home, hook=hook))
    farm.deploy("new")
    with held(farm):
        farm.touch_trigger()
        wait_phases(farm, 1, "restarting")
        os.kill(farm.emperor()["pid"], signal.SIGHUP)
        eventually(lambda: all(one["respawns"] >= 1 for one in farm.vassal_stats().values()), "all are told")
        if home == "mule":
            eventually(lambda: farm.roll()["result"] == "interrupted", "the hook is reloaded")
    roll = eventually(lambda: one if (one := farm.roll())["result"] == "done" else None, "the roll is done")
    loads = (farm.directory / "app" / "loads").read_text()
    with Client(farm) as client:
        wait_answers(client, 200)
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert client.failed == []
    assert (farm.directory / "app" / "loads").read_text() == loads, "nobody loads after the roll"
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"new"}
