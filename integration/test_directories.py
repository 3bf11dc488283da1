"""An Emperor of several directories and globs: each vassal is found in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration import stats
from integration.layout import App, Layout
from integration.mid_roll import phases
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.farm import Farm

APP = App(vassals=2, load_seconds=0.1)
MORE = ("more-1.ini", "more-2.ini")
THROTTLE = "emperor-throttle = 60000"


class TwoDirectories:
    """A farm whose Emperor scans a second directory too, with vassals of the same application."""

    def __init__(
        self, start: Callable[[Layout], Farm], second: Path, *lines: str, hook: tuple[str, ...] = (), glob: str = ""
    ) -> None:
        self.second = second
        more = f"emperor = {second}{glob}"
        self.farm = start(Layout(apps=(APP,), hook=hook, instance_lines=(more, *lines)))
        for vassal in MORE:
            self.add(vassal)
        eventually(lambda: self.subscribed() == 4, "all of both subscribed")

    def add(self, vassal: str, to: Path | None = None) -> None:
        text = layouts.app_ini(self.farm.directory, APP, self.farm.subscription_server)
        fresh = self.farm.directory / "vassal.new"
        fresh.write_text(text)
        fresh.replace((to or self.second) / vassal)

    def subscribed(self) -> int:
        return len(stats.live_nodes(self.farm.router()).get(APP.key, ()))


@pytest.mark.parametrize("named", ["none", "first", "second"])
def test_vassals_of_two_directories_are_rolled_whichever_emperor_path_names(
    start: Callable[[Layout], Farm], tmp_path: Path, named: str
) -> None:
    path = {"none": "", "first": "reload-hook-emperor-path = %d", "second": f"reload-hook-emperor-path = {tmp_path}"}
    site = TwoDirectories(start, tmp_path, hook=(path[named],) if path[named] else ())
    ids = [*site.farm.app_ids(), *MORE]
    workers = {vassal: site.farm.children(vassal) for vassal in ids}
    roll = site.farm.roll_now()
    assert (roll["result"], sorted(roll["vassals"])) == ("done", sorted(ids)), roll
    assert all(site.farm.children(vassal).isdisjoint(before) for vassal, before in workers.items())


@pytest.mark.parametrize(
    ("of_second", "glob"), [(False, ""), (True, ""), (True, "/*.ini")], ids=["first", "second", "glob"]
)
def test_a_blacklisted_vassal_of_either_directory_is_mended_by_a_roll(
    start: Callable[[Layout], Farm], tmp_path: Path, glob: str, *, of_second: bool
) -> None:
    """A hook that has never seen it run is told no monitor: before, its config was called removed."""
    site = TwoDirectories(start, tmp_path, THROTTLE, glob=glob)
    farm = site.farm
    farm.deploy("broken")
    site.add("more-3.ini", to=site.second if of_second else farm.vassals)
    ids = {entry["id"] for entry in eventually(lambda: farm.emperor()["blacklist"], "the third blacklisted")}
    (third,) = ids
    assert third.endswith("more-3.ini")
    assert farm.vassal(third) is None
    farm.deploy("new")
    farm.remove_vassal("hook.ini")
    before = farm.roll()
    farm.touch_trigger()
    farm.add_hook("hook.ini", layouts.trigger_line(farm.directory))
    roll = farm.wait_result(before)
    assert roll["result"] == "done", roll
    assert phases(roll)[third] == "done"


def test_a_directory_and_a_monitor_without_files_beside_it(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(APP,), instance_lines=("emperor = zmq://tcp://127.0.0.1:5999",)))
    assert farm.roll_now()["result"] == "done"
