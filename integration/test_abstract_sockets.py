"""Abstract sockets, for the vassals and for the stats, are used as paths are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.client import Client
from integration.commands import Command
from integration.layout import App, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

APP = App(vassals=3, load_seconds=0.2)
PROBE = "reload-hook-probe = /"


@pytest.mark.parametrize("beginning", ["@", "\\0"], ids=["at", "backslash-0"])
def test_a_site_of_abstract_sockets_is_found_and_rolled(start: Callable[[Layout], Farm], beginning: str) -> None:
    farm = start(Layout(apps=(APP,), abstract=beginning, hook=(PROBE,)))
    workers = farm.workers()
    with Client(farm) as client:
        roll = farm.roll_now()
    assert (roll["result"], client.failed) == ("done", [])
    assert {tuple(entry["keys"]) for entry in roll["vassals"].values()} == {("app.test",)}
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def named(farm: Farm) -> list[str]:
    return [
        f"--emperor-stats-socket={farm.stats_address('emperor')}",
        f"--fastrouter-stats-socket={farm.stats_address('router')}",
    ]


@pytest.mark.parametrize("beginning", ["@", "\\0"], ids=["at", "backslash-0"])
def test_abstract_stats_sockets_are_named_by_options(start: Callable[[Layout], Farm], beginning: str) -> None:
    farm = start(Layout(apps=(APP,), abstract="@", hook=None))
    flags = [flag.replace("=@", f"={beginning}") for flag in named(farm)]
    with Client(farm) as client:
        command = Command("reload", *flags)
        try:
            assert command.wait() == 0, command.said
        finally:
            command.end()
    assert (len(command.lines), client.failed) == (3, [])


def test_a_hook_outside_the_vassals_finds_abstract_sockets(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(APP,), abstract="@", home="host"))
    with Client(farm) as client:
        assert farm.roll_now()["result"] == "done"
    assert client.failed == []
