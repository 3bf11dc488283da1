"""Vassals that end at a reload, and are started again by the Emperor (`exit-on-reload`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.client import Client, fetch
from integration.layout import App, Layout
from integration.mid_roll import phases, wait_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

EXITS = App(vassals=3, load_seconds=0.3, lines=("exit-on-reload = true",))


def pids(farm: Farm) -> dict[str, int]:
    return {vassal: entry["pid"] for vassal, entry in farm.vassal_stats().items() if vassal != "hook.ini"}


def test_vassals_that_exit_on_reload_are_rolled_under_load(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(EXITS,)))
    before = pids(farm)
    farm.deploy("new")
    with Client(farm) as client:
        wait_answers(client)
        roll = farm.roll_now(30)
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert not before.items() & pids(farm).items()
    assert client.failed == []
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"new"}


@pytest.mark.parametrize("lines", [(), ("worker-reload-mercy = 1",)])
def test_vassals_that_exit_before_they_served_are_rolled(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    """The Emperor blacklists them for their end, because they are not loyal yet."""
    app = App(vassals=3, load_seconds=0.3, lines=("exit-on-reload = true", *lines))
    farm = start(Layout(apps=(app,)))
    before = pids(farm)
    farm.deploy("new")
    roll = farm.roll_now(30)
    assert roll["result"] == "done", roll["reason"]
    assert not before.items() & pids(farm).items()
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"new"}


@pytest.mark.parametrize("served", [True, False])
def test_new_code_that_does_not_load_stops_vassals_that_exit(start: Callable[[Layout], Farm], *, served: bool) -> None:
    farm = start(Layout(apps=(EXITS,)))
    if served:
        assert {fetch(farm.http_port, "app.test").version for _ in range(9)} == {"old"}
    farm.deploy("broken")
    roll = farm.roll_now(30)
    assert roll["result"] == "failed", roll
    assert sorted(phases(roll).values()) == ["failed", "pending", "pending"]
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"old"}


def test_a_deploy_that_takes_exit_on_reload_away_is_rolled(start: Callable[[Layout], Farm]) -> None:
    """What the vassals do at the touch was decided when they started."""
    farm = start(Layout(apps=(EXITS,)))
    config = farm.directory / "configs" / "app.ini"
    config.write_text(config.read_text().replace("exit-on-reload = true\n", ""))
    farm.deploy("new")
    roll = farm.roll_now(30)
    assert roll["result"] == "done", roll["reason"]
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"new"}
