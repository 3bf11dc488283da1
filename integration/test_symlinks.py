"""Configs that are symlinks, whose mtimes do not tell at which end the Emperor looks: they roll all the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from integration.layout import App, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

# One vassal for each config, so that no target is shared.
APPS = (App(key="one.test", vassals=1, load_seconds=0), App(key="two.test", vassals=1, load_seconds=0))
HOOK = ("reload-hook-minimum-active-vassals = 0",)
UNKNOWN = ("if-env = HOME", "endif =")
"""Lines that make the options of the Emperor's instance uncertain."""


def date(farm: Farm, seconds_before: int) -> None:
    """Gives both ends of each config one mtime, so much older than what the Emperor has seen."""
    for id_, entry in farm.vassal_stats().items():
        if id_ in farm.app_ids():
            second = entry["last_mod"] - seconds_before
            os.utime(farm.vassals / id_, (second, second))
            os.utime(farm.vassals / id_, (second, second), follow_symlinks=False)


@pytest.mark.parametrize("nofollow", [True, False], ids=["nofollow", "follow"])
@pytest.mark.parametrize("lines", [(), UNKNOWN], ids=["known", "unknown"])
def test_links_made_in_the_second_of_their_targets_and_older_ones_roll(
    start: Callable[[Layout], Farm], lines: tuple[str, ...], nofollow: bool
) -> None:
    farm = start(Layout(apps=APPS, hook=HOOK, nofollow=nofollow, instance_lines=lines))
    for seconds_before in (0, 1000, 0):
        date(farm, seconds_before)
        workers = farm.workers()
        roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def test_links_to_one_target_that_are_older_than_what_the_emperor_saw_roll(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),)))
    for id_ in farm.app_ids():
        os.utime(farm.vassals / id_, (1000, 1000), follow_symlinks=False)
    seen = {entry["last_mod"] for id_, entry in farm.vassal_stats().items() if id_ in farm.app_ids()}
    os.utime(farm.vassals / farm.app_ids()[0], (min(seen), min(seen)))  # an archive has what the Emperor saw
    assert farm.roll_now()["result"] == "done"
