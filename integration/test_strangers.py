"""The hook of root in a directory of the deploy user, who links its files elsewhere; all of it on real uWSGI."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.commands import Command, reload
from integration.farm import HOOK, Farm
from integration.layout import App, Layout
from integration.waiting import eventually
from tests.support.strangers import STRANGER, acts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLANT = """
for name in ("trigger.history.jsonl", "trigger.status.json", ".trigger.status.json." + arguments[1]):
    if os.path.lexists(name):
        os.rename(name, name + ".his")
    os.symlink(arguments[0], name)
"""
LAYOUT = Layout(apps=(App(vassals=2, load_seconds=0.1),))


@pytest.fixture
def profile() -> Iterator[Path]:
    """A file of root's that a shell reads."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        profile = Path(directory, "profile")
        profile.write_text("umask 022\n")
        yield profile
        assert profile.read_text() == "umask 022\n"
        assert os.listdir(directory) == ["profile"]  # noqa: PTH208 - names


def give_away(farm: Farm) -> None:
    farm.directory.chmod(0o755)
    os.chown(farm.directory, STRANGER, STRANGER)


def test_a_hook_in_a_mule_rolls_on_and_says_who_may_change_its_files(
    start: Callable[[Layout], Farm], profile: Path
) -> None:
    farm = start(LAYOUT)
    give_away(farm)
    config = (farm.vassals / HOOK).read_text()
    farm.remove_vassal(HOOK)
    farm.add_vassal(HOOK, config)
    farm.emperor()
    pid = str(farm.wait_hook()["hook"]["pid"])
    said = f"the state directory {farm.directory} can be changed by user nobody: "
    eventually(lambda: said in farm.log(), "it is said")
    acts(PLANT, farm.directory, profile, pid)
    farm.trigger.write_text("message=; echo caught\n")
    history = farm.directory / "trigger.history.jsonl"
    eventually(lambda: os.path.lexists(history) and not history.is_symlink(), "a history of the hook's own")
    (roll,) = eventually(farm.history, "a line in it")
    assert roll["result"] == "done"
    assert roll["request"]["message"] == "; echo caught"
    assert farm.log().count("trigger.history.jsonl cannot be used (it is a symlink): set aside") == 1
    assert not farm.status_path.is_symlink()


def test_a_reload_from_a_shell_too(start: Callable[[Layout], Farm], profile: Path) -> None:
    farm = start(Layout(apps=LAYOUT.apps, hook=None))
    give_away(farm)
    acts(PLANT, farm.directory, profile, "1")
    command = reload(farm.directory)
    try:
        assert command.wait() == 0, command.said
    finally:
        command.end()
    assert [roll["result"] for roll in farm.history()] == ["done"]
    assert "trigger.history.jsonl cannot be used (it is a symlink)" in command.said


def test_a_trigger_that_leads_to_a_file_of_roots_is_not_touched_for_a_reload(
    start: Callable[[Layout], Farm], profile: Path
) -> None:
    farm = start(LAYOUT)
    give_away(farm)
    os.utime(profile, (1, 1))
    acts("os.symlink(arguments[0], 'trigger')", farm.directory, profile)
    farm.wait_hook()
    for command in (reload(farm.directory), Command("trigger", farm.trigger)):
        try:
            assert command.wait() == 2
        finally:
            command.end()
        assert "cannot be touched: it leads through trigger, a symlink of user nobody's" in command.said
    assert profile.stat().st_mtime == 1
