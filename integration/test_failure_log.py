"""The text of a failure names the log that tells more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.layout import App, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm


def reason_of_a_broken_deploy(farm: Farm) -> str:
    farm.deploy("broken")
    roll = farm.roll_now()
    assert roll["result"] == "failed", roll
    return str(next(one["reason"] for one in roll["vassals"].values() if one["phase"] == "failed"))


@pytest.mark.parametrize(
    ("line", "log"),
    [
        ("logto = %d../run/%n.log", "run/app-1.log"),
        ("logto2 = %d../run/%n.log", "run/app-1.log"),
        ("daemonize = %d../run/%n.log", "run/app-1.log"),
        ("logger = file:%d../run/%n.log", "run/app-1.log"),
        ("set-ph = where=run", "log"),
    ],
)
def test_a_failure_names_the_log_of_its_vassal(start: Callable[[Layout], Farm], line: str, log: str) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0, lines=(line,)),), symlinks=False))
    assert f"see its log {farm.directory}/{log}" in reason_of_a_broken_deploy(farm).replace("vassals/../", "")


def test_a_vassal_that_was_down_from_the_start_names_its_log(start: Callable[[Layout], Farm]) -> None:
    app = App(vassals=2, load_seconds=0, lines=("logto = %d../run/%n.log",))
    farm = start(Layout(apps=(app,), symlinks=False))
    farm.deploy("broken")
    farm.roll_now()
    before = farm.roll()
    farm.touch_trigger()
    roll = farm.wait_result(before)
    assert roll["result"] == "failed", roll
    reason = roll["vassals"]["app-1.ini"]["reason"].replace("vassals/../", "")
    assert f"see its log {farm.directory}/run/app-1.log" in reason


def test_where_the_emperor_logs_to_no_file_its_log_is_named_in_words(start: Callable[[Layout], Farm]) -> None:
    lines = ("log-master = true", "logger = stdio")
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), instance_lines=lines))
    assert "see its log, which is the Emperor's where it has none" in reason_of_a_broken_deploy(farm)
