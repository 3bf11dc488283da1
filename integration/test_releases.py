"""Releases behind `current`: a rollback makes the configs older, and the vassals go back all the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration.client import Client, fetch
from integration.layout import App, Layout
from integration.mid_roll import nodes
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

APP = App(vassals=3, load_seconds=0.1)
HOUR = 3600


class Releases:
    """Two releases, each with a config per vassal and an application of its own; those of 1 are an hour older.

    With `whole` the link from the Emperor's directory leads into `current`, which is the link that a deploy changes;
    else each vassal's own link is changed.
    """

    def __init__(self, farm: Farm, *, whole: bool = True) -> None:
        self.farm = farm
        self._whole = whole
        for number in (1, 2):
            self._make(number)
        self.switch(2)
        for vassal in APP.ids if whole else ():
            (farm.vassals / vassal).symlink_to(farm.directory / "current" / vassal)
        eventually(lambda: len(nodes(farm, APP.key)) == APP.vassals, "all subscribed")

    def _make(self, number: int) -> None:
        farm, release = self.farm, self.farm.directory / "releases" / str(number)
        (release / "app").mkdir(parents=True)
        (release / "app" / "load").write_text("0.1")
        (release / "app" / "version").write_text(f"release-{number}")
        text = layouts.app_ini(farm.directory, APP, farm.subscription_server)
        text = text.replace(f"APP_DIRECTORY={farm.directory}/app", f"APP_DIRECTORY={release}/app")
        for vassal in APP.ids:
            config = release / vassal
            config.write_text(text)
            made = config.stat().st_mtime - HOUR * (3 - number)
            os.utime(config, (made, made))

    def switch(self, number: int) -> None:
        """Makes a release the current one, as a deploy does: a new link replaces the old."""
        release = self.farm.directory / "releases" / str(number)
        if self._whole:
            replace_link(self.farm, self.farm.directory / "current", release)
            return
        for vassal in APP.ids:
            replace_link(self.farm, self.farm.vassals / vassal, release / vassal)

    def serving(self) -> set[str]:
        """The releases that answer."""
        return {fetch(self.farm.http_port, APP.key).version for _ in range(12)}


def replace_link(farm: Farm, link: os.PathLike[str], target: os.PathLike[str]) -> None:
    fresh = farm.directory / "link.new"
    fresh.symlink_to(target)
    fresh.replace(link)


@pytest.mark.parametrize("nofollow", [False, True], ids=["follow", "nofollow"])
@pytest.mark.parametrize("back_dated", [False, True], ids=["fresh links", "old links"])
def test_a_rollback_through_current_puts_all_on_the_old_release(
    start: Callable[[Layout], Farm], nofollow: bool, back_dated: bool
) -> None:
    farm = start(Layout(apps=(), nofollow=nofollow))
    releases = Releases(farm)
    if back_dated:
        for vassal in APP.ids:
            os.utime(farm.vassals / vassal, (1000, 1000), follow_symlinks=False)
    assert releases.serving() == {"release-2"}
    for number in (1, 2, 1):
        releases.switch(number)
        with Client(farm, keys=(APP.key,)) as client:
            roll = farm.roll_now()
        assert (roll["result"], client.failed) == ("done", []), roll
        assert releases.serving() == {f"release-{number}"}


def test_a_rollback_of_each_vassals_own_link_puts_all_on_the_old_release(start: Callable[[Layout], Farm]) -> None:
    """A following Emperor; the new link is younger than all that it has seen, and its target older."""
    farm = start(Layout(apps=(), nofollow=False))
    releases = Releases(farm, whole=False)
    for number in (1, 2):
        releases.switch(number)
        roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert releases.serving() == {f"release-{number}"}


@pytest.mark.parametrize("nofollow", [False, True], ids=["follow", "nofollow"])
def test_links_and_configs_made_in_one_second_roll_at_the_first_touch(
    start: Callable[[Layout], Farm], nofollow: bool
) -> None:
    farm = start(Layout(apps=(), nofollow=nofollow))
    releases = Releases(farm)
    for vassal in APP.ids:
        second = int((farm.vassals / vassal).stat().st_mtime)
        os.utime(farm.vassals / vassal, (second, second), follow_symlinks=False)
    before = {vassal: farm.children(vassal) for vassal in APP.ids}
    roll = farm.roll_now()
    assert (roll["result"], sorted(roll["vassals"])) == ("done", APP.ids), roll
    assert all(farm.children(vassal).isdisjoint(workers) for vassal, workers in before.items())
    assert releases.serving() == {"release-2"}
