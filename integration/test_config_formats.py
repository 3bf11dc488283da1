"""Vassals are rolled in every format that the Emperor takes, and are named by id or by file name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.commands import Command, sockets
from integration.formats import add_app
from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

APP = App(vassals=1, load_seconds=0)


def with_formats(start: Callable[[Layout], Farm], *vassals: str, **given: object) -> Farm:
    """A farm of one ini, and these vassals beside it."""
    farm = start(Layout(apps=(APP,), **given))  # type: ignore[arg-type]
    for vassal in vassals:
        add_app(farm, vassal, APP)
    count = 1 + len(vassals)
    eventually(lambda: len(stats.live_nodes(farm.router()).get(APP.key, ())) == count, f"{count} subscribed")
    return farm


@pytest.mark.parametrize("others", [("b.yaml", "c.xml", "d.yml"), ("b.yaml",)], ids=["all", "yaml"])
def test_vassals_in_yaml_and_xml_are_rolled_beside_ini(
    start: Callable[[Layout], Farm], others: tuple[str, ...]
) -> None:
    farm = with_formats(start, *others)
    workers = {vassal: farm.children(vassal) for vassal in others}
    roll = farm.roll_now()
    assert roll["result"] == "done", roll
    assert roll["vassals"].keys() == {"app-1.ini", *others}
    assert all(farm.children(vassal).isdisjoint(before) for vassal, before in workers.items())


def test_the_suffixes_that_are_set_choose(start: Callable[[Layout], Farm]) -> None:
    suffixes = tuple(f"reload-hook-vassal-config-file-suffix = {suffix}" for suffix in (".yaml", ".xml"))
    farm = with_formats(start, "b.yaml", "c.xml", hook=suffixes)
    roll = farm.roll_now()
    assert (roll["result"], roll["vassals"].keys()) == ("done", {"b.yaml", "c.xml"})
    assert roll["left_alone"]["app-1.ini"] == "its config does not end with .yaml or .xml"


def test_reload_from_a_shell_rolls_inis_unless_told_otherwise(start: Callable[[Layout], Farm]) -> None:
    farm = with_formats(start, "b.yaml", "c.xml", hook=None)
    for flags, said in (([], ["app-1: reloaded"]), (["--vassal-config-file-suffix=.yaml"], ["b: reloaded"])):
        command = Command("reload", *sockets(farm.directory), *flags)
        try:
            assert command.wait() == 0, command.said
        finally:
            command.end()
        assert command.lines == said


@pytest.mark.parametrize("named", ["b.yaml", "*.yaml", "*/vassals/b.*"])
def test_a_trigger_names_a_globs_vassal_by_path_or_file_name(start: Callable[[Layout], Farm], named: str) -> None:
    farm = with_formats(start, "b.yaml", glob=True, instance_lines=("emperor = %dvassals/*.yaml",))
    before = farm.roll()
    farm.trigger.write_text(f"only={named}\n")
    roll = farm.wait_result(before)
    assert (roll["result"], list(roll["vassals"])) == ("done", [f"{farm.vassals}/b.yaml"])


def test_a_relative_globs_vassals_are_named_by_their_file_names(start: Callable[[Layout], Farm]) -> None:
    hook = ("reload-hook-vassals = b.yaml", "reload-hook-vassals = c.*")
    # With the globs of inis, because a directory would start these vassals a second time.
    lines = ("emperor = ./vassals/[bc].*",)
    farm = with_formats(start, "b.yaml", "c.xml", hook=hook, glob=True, instance_lines=lines)
    roll = farm.roll_now()
    assert (roll["result"], {vassal.rpartition("/")[2] for vassal in roll["vassals"]}) == ("done", {"b.yaml", "c.xml"})


@pytest.mark.parametrize("way", ["only", "vassals", "suffix"])
def test_a_roll_of_nobody_is_refused_and_says_why(start: Callable[[Layout], Farm], way: str) -> None:
    lines = {
        "only": (),
        "vassals": ("reload-hook-vassals = shop-*",),
        "suffix": ("reload-hook-vassal-config-file-suffix = .conf",),
    }
    farm = with_formats(start, hook=lines[way])
    flags = ["--only=shop-*"] if way == "only" else []
    command = Command("trigger", "--wait", *flags, farm.trigger)
    try:
        assert command.wait() == 5, command.said
    finally:
        command.end()
    why = {
        "only": "named by the trigger's only=",
        "vassals": "named by reload-hook-vassals",
        "suffix": "end with .conf",
    }
    assert "there is no vassal to roll" in command.said
    assert why[way] in command.said
    assert farm.roll()["result"] == "refused"
