"""What counts as a touch of the trigger, and how many rolls it makes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
import pytest

from integration.farm import HOOK, Farm
from integration.layout import TRIGGER, App, Layout
from integration.processes import since_boot
from integration.proxy import CountingProxy
from integration.waiting import eventually, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = App(vassals=2, load_seconds=0)


def create(trigger: Path) -> None:
    trigger.unlink(missing_ok=True)
    trigger.touch()


def write(trigger: Path) -> None:
    trigger.write_text("message=a new version\n")


def rename_over(trigger: Path) -> None:
    fresh = trigger.with_name("fresh")
    fresh.write_text("")
    fresh.replace(trigger)


def touch(trigger: Path) -> None:
    trigger.touch()


def touch_through_a_symlink(trigger: Path) -> None:
    link = trigger.with_name("run") / "link"
    link.symlink_to(trigger)
    link.touch()


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with Farm(Layout(apps=(QUICK,))) as farm:
        yield farm


@pytest.mark.parametrize("act", [create, write, rename_over, touch, touch_through_a_symlink])
def test_each_kind_of_touch_gives_one_roll(farm: Farm, act: Callable[[Path], None]) -> None:
    before, rolls, workers = farm.roll(), len(farm.history()), farm.workers()
    since = since_boot()
    act(farm.trigger)
    assert farm.wait_result(before)["result"] == "done"
    assert_all_newer(farm, since)
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())
    # Longer than the look-back of any of the events of one touch.
    assert observe(lambda: len(farm.history()), 1.0) <= {rolls, rolls + 1}
    assert len(farm.history()) == rolls + 1


def test_a_trigger_that_is_a_symlink_to_another_directory(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    target = farm.directory / "configs" / "target"
    target.touch()
    farm.trigger.symlink_to(target)
    farm.add_hook(HOOK, f"reload-hook-trigger = {farm.trigger}")
    farm.wait_hook()
    # No event comes from the link's own directory: the slow check of the mtime must see it.
    assert farm.roll_now()["result"] == "done"


def test_two_rolls_within_two_seconds_both_reload_everybody(farm: Farm) -> None:
    for _ in range(3):
        workers = farm.workers()
        since = since_boot()
        assert farm.roll_now()["result"] == "done"
        assert_all_newer(farm, since)
        assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def test_touches_during_a_roll_give_exactly_one_more(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.5),)))
    farm.touch_trigger()
    eventually(lambda: farm.status()["state"] == "rolling", "a roll")
    first = farm.roll()
    # The last of them within one second of the first, whose whole second some of the configs have by now.
    for _ in range(3):
        workers = farm.workers()
        since, touched = since_boot(), farm.touch_trigger()
        eventually(lambda: time.time() > touched + 0.1, "a little later")  # noqa: B023
    assert not farm.roll()["result"] or farm.roll()["id"] == first["id"]
    second = farm.wait_result(first)
    assert second["result"] == "done"
    assert_all_newer(farm, since)
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())
    observe(lambda: farm.status()["state"], 1.5)
    assert [roll["result"] for roll in farm.history()] == ["done", "done"]
    assert {entry["respawns"] for entry in app_entries(farm)} == {2}


def app_entries(farm: Farm) -> list[dict[str, int]]:
    return [entry for vassal, entry in farm.vassal_stats().items() if vassal in farm.app_ids()]


def assert_all_newer(farm: Farm, since: float) -> None:
    for vassal, workers in farm.workers().items():
        assert workers, vassal
        assert all(worker.created >= since for worker in workers), vassal


def test_an_idle_hook_reads_no_stats_and_uses_no_cpu(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    with (
        CountingProxy(farm.directory / "emperor.stats", farm.directory / "run/e.count") as emperor,
        CountingProxy(farm.directory / "router.stats", farm.directory / "run/r.count") as router,
    ):
        farm.add_hook(
            HOOK,
            f"reload-hook-trigger = {farm.directory}/{TRIGGER}",
            f"reload-hook-emperor-stats-socket = {emperor.path}",
            f"reload-hook-fastrouter-stats-socket = {router.path}",
        )
        farm.wait_hook()
        assert farm.roll_now()["result"] == "done"
        assert emperor.count > 0
        assert router.count > 0
        eventually(lambda: farm.status()["state"] == "idle", "idle after the roll")
        (mule,) = farm.children(HOOK)
        process = psutil.Process(mule.pid)
        cpu = sum(process.cpu_times()[:2])
        after_roll = observe(lambda: (emperor.count, router.count), 4.0)
        assert len(after_roll) <= 2, "one look more, which shows whether each vassal announces itself"
        reads = observe(lambda: (emperor.count, router.count), 4.0)
        assert len(reads) == 1, reads
        assert sum(process.cpu_times()[:2]) - cpu <= 0.05
        assert [connection for connection in process.net_connections("tcp") if connection.raddr] == []
