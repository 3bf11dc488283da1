"""The harness itself: what the other tests would overlook if it were wrong."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from integration.client import Client
from integration.farm import Farm
from integration.layout import App, Layout
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("tcp", [False, True])
def test_watcher_sees_the_dip_of_a_plain_touch(start: Callable[[Layout], Farm], tcp: bool) -> None:
    farm = start(Layout(apps=(App(vassals=3, tcp=tcp),), hook=None))
    before = farm.workers()
    with Watcher(farm) as watcher, Client(farm) as client:
        farm.deploy("new")
        last_mod = farm.vassal_stats()["app-1.ini"]["last_mod"]
        os.utime(farm.vassals / "app-1.ini", (last_mod + 1, last_mod + 1), follow_symlinks=False)
        eventually(lambda: farm.workers()["app-1.ini"] not in (before["app-1.ini"], frozenset()), "a new worker")
        farm.wait_subscribed()
        answered = len(client.answers)
        eventually(lambda: {a.version for a in client.answers[answered:]} == {"old", "new"}, "a mixed site")
    assert watcher.sighting.minimum() == 2
    assert watcher.sighting.timeline["app.test"][0][1] == 3
    assert client.failed == []


def test_a_failed_deploy_is_recorded(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0),), hook=None, symlinks=False))
    farm.deploy("broken")
    last_mod = farm.vassal_stats()["app-1.ini"]["last_mod"]
    os.utime(farm.vassals / "app-1.ini", (last_mod + 1, last_mod + 1))
    eventually(lambda: farm.emperor() and farm.breaks(), "a failed import")
    eventually(lambda: farm.emperor()["blacklist"], "a blacklisted vassal")


def test_nothing_is_left_of_a_farm() -> None:
    with Farm(Layout(apps=(App(vassals=2),), hook=None)) as farm:
        tree = farm.processes()
        assert len(tree) == 2 * 2 + 4  # a master and a worker each; the instance, Emperor, router and front
        farm.stop(patience=15)
    assert farm.leftovers == []
    assert not [process for process in tree if process.is_running()]
    assert not farm.directory.exists()
