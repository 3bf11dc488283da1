"""A touch that was made while the whole site was down: whoever was started after it has the code already."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

QUICK = App(vassals=3, load_seconds=0.3)
ALONE = App(vassals=1, load_seconds=0.3)


def touch_and_let_the_second_pass(farm: Farm) -> None:
    """The Emperor notes in whole seconds when it starts a vassal."""
    farm.trigger.touch()
    touched = farm.trigger.stat().st_ctime
    eventually(lambda: time.time() > touched + 1, "another second than that of the touch")


def respawns(farm: Farm) -> dict[str, int]:
    return {vassal: farm.vassal_stats()[vassal]["respawns"] for vassal in farm.app_ids()}


def test_vassals_that_were_started_after_the_touch_are_done_without_a_reload(start: Callable[[Layout], Farm]) -> None:
    for app in (QUICK, ALONE):
        farm = start(Layout(apps=(app,)))
        before = farm.roll()
        farm.restart(20, lambda farm=farm: touch_and_let_the_second_pass(farm))  # type: ignore[misc]
        roll = farm.wait_result(before)
        assert roll["result"] == "done", roll["reason"]
        assert {id_: one["phase"] for id_, one in roll["vassals"].items()} == dict.fromkeys(app.ids, "done")
        assert set(respawns(farm).values()) == {0}


def test_broken_code_of_a_cold_start_is_not_called_done(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))

    def deploy() -> None:
        farm.deploy("broken")
        touch_and_let_the_second_pass(farm)

    farm.restart(20, deploy)
    assert farm.wait_result({})["result"] == "failed"


def test_a_touch_with_an_old_mtime_rolls_everybody_all_the_same(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    workers = farm.workers()
    farm.trigger.touch()
    first = farm.wait_result({})
    os.utime(farm.trigger, (1_000_000_000, 1_000_000_000))
    assert farm.wait_result(first)["result"] == "done"
    assert set(respawns(farm).values()) == {2}
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())
