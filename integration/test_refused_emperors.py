"""Emperors whose vassals no touch can reload: said at the start, and refused before anybody is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.commands import Command
from integration.farm import UWSGI
from integration.layout import App, Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.farm import Farm

APP = App(vassals=2, load_seconds=0)


def of_version(version: str, copy: Path) -> Path:
    """A copy of this uWSGI that calls itself another version: a real Emperor in all else."""
    program = UWSGI.read_bytes()
    own = Command("--version", program=(UWSGI,))
    assert own.wait() == 0
    told = own.lines[-1].encode()
    assert len(told) == len(version), told
    copy.write_bytes(program.replace(told, version.encode()))
    copy.chmod(0o755)
    return copy


@pytest.mark.parametrize("home", ["mule", "shell"])
def test_an_emperor_of_2_0_27_is_refused_by_version(start: Callable[[Layout], Farm], tmp_path: Path, home: str) -> None:
    program = of_version("2.0.27", tmp_path / "uwsgi")
    farm = start(Layout(apps=(APP,), home=home, program=program))
    assert farm.emperor()["version"] == "2.0.27"
    mtimes = {vassal: (farm.vassals / vassal).lstat().st_mtime_ns for vassal in farm.app_ids()}
    roll = farm.roll_now()
    assert roll["result"] == "refused"
    assert "uWSGI 2.0.27" in roll["reason"]
    assert "2.0.28" in roll["reason"]
    assert mtimes == {vassal: (farm.vassals / vassal).lstat().st_mtime_ns for vassal in farm.app_ids()}
    if home == "mule":
        assert "no roll can be made: the Emperor runs uWSGI 2.0.27" in farm.log()


@pytest.mark.parametrize("version", ["2.0.26", "2.0.28"])
def test_its_neighbours_in_version_roll(start: Callable[[Layout], Farm], tmp_path: Path, version: str) -> None:
    farm = start(Layout(apps=(APP,), program=of_version(version, tmp_path / "uwsgi")))
    assert farm.roll_now()["result"] == "done"


MONITORS = ["zmq://tcp://127.0.0.1:5999", "pg://host=nowhere", "amqp://127.0.0.1:5998", "mongodb://127.0.0.1:5997"]


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor.partition(":")[0])
def test_a_monitor_without_files_is_refused_by_name(start: Callable[[Layout], Farm], monitor: str) -> None:
    """The hook is a mule of the Emperor's own instance, because such a monitor has no directory to put it in."""
    lines = (f"emperor = {monitor}",)
    farm = start(Layout(apps=(), home="host", scanned=False, instance_lines=lines))
    assert farm.emperor()["emperor"] == [monitor]
    command = Command("trigger", "--wait", farm.trigger)
    try:
        assert command.wait() == 5, command.said
    finally:
        command.end()
    assert monitor in command.said
    assert f"no roll can be made: the Emperor has its vassals from {monitor}" in farm.log()
