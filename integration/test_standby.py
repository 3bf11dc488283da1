"""Hooks that stand by, or cannot start: a roll leaves their vassals alone, in whichever home they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from integration import layout as layouts
from integration.layout import App, Layout, trigger_line
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

QUICK = App(vassals=2, load_seconds=0)


def test_a_roll_leaves_every_hooks_vassal_alone(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    lines = {
        id_: f"reload-hook-trigger = {farm.directory}/configs/{id_}"
        for id_ in ("mule.ini", "placeholder.ini", "attached.ini", "wrong.ini")
    }
    farm.add_hook("mule.ini", lines["mule.ini"])
    farm.add_hook("placeholder.ini", "strict = true", f"set-ph = {lines['placeholder.ini'].replace(' = ', '=')}")
    farm.add_vassal("attached.ini", layouts.attached_ini((lines["attached.ini"],)))
    farm.add_hook("wrong.ini", lines["wrong.ini"], "reload-hook-timeout = soon")
    for id_ in lines:
        path = farm.directory / "configs" / f"{id_}.status.json"
        eventually(lambda path=path: path.exists() and json.loads(path.read_text())["reason"], f"{id_} waits")  # type: ignore[misc]
    before = {id_: farm.vassal_stats()[id_] for id_ in lines}
    roll = farm.roll_now()
    assert roll["result"] == "done"
    assert sorted(roll["vassals"]) == QUICK.ids
    assert roll["left_alone"] == {"hook.ini": "the hook's own vassal", **dict.fromkeys(lines, "a hook's vassal")}
    assert {id_: farm.vassal_stats()[id_]["respawns"] for id_ in lines} == dict.fromkeys(lines, 0)
    assert {id_: farm.vassal_stats()[id_]["pid"] for id_ in lines} == {id_: one["pid"] for id_, one in before.items()}


def test_a_roll_from_a_shell_leaves_a_hook_alone_that_cannot_start(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), home="shell"))
    farm.add_hook("wrong.ini", trigger_line(farm.directory), "reload-hook-timeout = soon")
    eventually(lambda: farm.status().get("reason"), "the hook cannot start")
    assert farm.roll_now()["left_alone"] == {"wrong.ini": "a hook's vassal"}
