"""Touches that come while a hook cannot act on them yet: each of them gives its roll."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from integration.farm import HOOK
from integration.layout import App, Layout, trigger_line
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.farm import Farm

QUICK = App(vassals=2, load_seconds=0)


def result_of(trigger: Path) -> str | None:
    """How the last roll of a trigger ended, None before there is one."""
    path = trigger.with_name(f"{trigger.name}.status.json")
    roll = json.loads(path.read_text())["roll"] if path.exists() else None
    return None if roll is None else roll["result"]


def test_a_touch_while_a_hook_stands_by_is_acted_on_when_it_takes_over(
    start: Callable[[Layout], Farm],
) -> None:
    farm = start(Layout(apps=(QUICK,)))
    other = farm.directory / "configs" / "trigger"
    other.touch()
    farm.add_hook("other.ini", f"reload-hook-trigger = {other}")
    eventually(lambda: "stands by until the other ends" in farm.log(), "the second hook stands by")
    workers = farm.workers()
    other.touch()
    farm.remove_vassal(HOOK)
    assert eventually(lambda: result_of(other), "the roll of the second hook") == "done"
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def test_a_touch_while_a_first_hook_ever_looks_for_its_router_is_acted_on(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    late = farm.directory / "run" / "late.stats"
    farm.trigger.touch()
    farm.add_hook(HOOK, trigger_line(farm.directory), f"reload-hook-fastrouter-stats-socket = {late}")
    eventually(lambda: "cannot start, and goes on trying" in farm.log(), "the hook looks for its router")
    workers = farm.workers()
    farm.trigger.touch()
    late.symlink_to(farm.directory / "router.stats")
    assert farm.wait_result({})["result"] == "done"
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())
    assert len(farm.history()) == 1
