"""Whatever ends the hook in the middle of a roll, the next one goes on with it: nobody twice, nobody forgotten."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from integration import stats
from integration.client import Client
from integration.farm import HOOK, Farm
from integration.layout import App, Layout
from integration.processes import Process, since_boot
from integration.waiting import eventually, observe
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KILLS = int(os.environ.get("RESUME_KILLS", "4"))
SEED = int(os.environ.get("RESUME_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
MINIMUM = 2
AT_ONCE = 10.0
"""Seconds that a hook may take to leave and come back: far below the minute of `mule-reload-mercy`."""
FIVE = App(vassals=5, load_seconds=0.3)


@pytest.fixture(scope="module", params=["mule", "vassal"])
def farm(request: pytest.FixtureRequest) -> Iterator[Farm]:
    hook = (f"reload-hook-minimum-active-vassals = {MINIMUM}",)
    with Farm(Layout(apps=(FIVE,), hook=hook, home=request.param)) as farm:
        yield farm


def respawns(farm: Farm) -> dict[str, int]:
    entries = farm.vassal_stats()
    return {vassal: entries[vassal]["respawns"] for vassal in farm.app_ids()}


def live(farm: Farm) -> int:
    return len(stats.live_nodes(farm.router()).get("app.test", set()))


def hook_started(farm: Farm) -> float:
    started: float = farm.status()["hook"]["started"]
    return started


class Story:
    """One touch, whatever happens after it, and what has to be true when its roll has ended."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        # The history gets its line a moment after the status shows the end of the roll before.
        shown = farm.roll().get("id")
        eventually(lambda: shown in {None, *(roll["id"] for roll in farm.history())}, "the roll before in the history")
        self.rolls = len(farm.history())
        self.respawns = respawns(farm)
        self.since = since_boot()
        farm.touch_trigger()

    def phases(self) -> list[str]:
        """What the status file says of this roll; nothing before it began."""
        roll = self.farm.roll()
        ours = bool(roll) and roll["request"]["mtime_ns"] == self.farm.trigger.stat().st_mtime_ns
        return sorted(entry["phase"] for entry in roll["vassals"].values()) if ours else []

    def wait_middle(self) -> str:
        """Waits until somebody is done and somebody is not, and returns the roll's id."""

        eventually(lambda: {"done", "pending"} <= set(self.phases()), "the middle of a roll")
        return str(self.farm.roll()["id"])

    def wait_end(self) -> None:
        """Until its roll is done: one roll, of everybody, whoever has driven it, and nobody is out of the router."""
        eventually(lambda: len(self.farm.history()) > self.rolls, "the end of the roll")
        serving = live(self.farm)
        roll = self.farm.history()[self.rolls]
        assert roll["result"] == "done", roll["reason"]
        assert {vassal: entry["phase"] for vassal, entry in roll["vassals"].items()} == dict.fromkeys(
            self.farm.app_ids(), "done"
        )
        assert serving == FIVE.vassals
        for vassal, workers in self.farm.workers().items():
            assert workers, vassal
            assert all(worker.created >= self.since for worker in workers), vassal

    def assert_once(self) -> None:
        """Each vassal was reloaded once."""
        once = {vassal: count + 1 for vassal, count in self.respawns.items()}
        assert respawns(self.farm) == once, self.farm.log_tail()
        assert len(self.farm.history()) == self.rolls + 1


def test_the_hook_killed_at_any_moment_of_a_roll(farm: Farm) -> None:
    home = farm.layout.home
    sys.stdout.write(f"RESUME_SEED={SEED} RESUME_KILLS={KILLS}\n")
    moments = random.Random(f"{SEED} {home}")  # noqa: S311 - only to be repeatable
    with Watcher(farm) as watcher, Client(farm) as client:
        touched = time.time()
        Story(farm).wait_end()
        usual = farm.history()[-1]["finished"] - touched
        for number in range(KILLS):
            pid, started = farm.status()["hook"]["pid"], hook_started(farm)
            story = Story(farm)
            due = time.monotonic() + (after := moments.uniform(0, usual))
            eventually(lambda: time.monotonic() >= due, "the moment")  # noqa: B023
            os.kill(pid, signal.SIGKILL)
            sys.stdout.write(
                f"kill {number} of {home}, {after:.3f} of {usual:.3f} s after the touch: {story.phases()}\n"
            )
            eventually(lambda: hook_started(farm) > started, "another hook")  # noqa: B023
            story.wait_end()
            sys.stdout.write(f"  the roll was done {time.monotonic() - due:.2f} s after the kill\n")
            story.assert_once()
        client.stop()
        sighting = watcher.stop()
    assert client.failed == []
    assert sighting.minimum() >= MINIMUM, sighting


def test_its_own_config_touched_in_the_middle(farm: Farm) -> None:
    with Watcher(farm) as watcher, Client(farm) as client:
        story = Story(farm)
        id_, started = story.wait_middle(), hook_started(farm)
        touched = time.monotonic()
        (farm.vassals / HOOK).touch()
        eventually(lambda: hook_started(farm) > started, "the hook anew")
        assert time.monotonic() - touched < AT_ONCE
        story.wait_end()
        story.assert_once()
        client.stop()
        sighting = watcher.stop()
    assert farm.history()[-1]["id"] == id_
    assert client.failed == []
    assert sighting.minimum() >= MINIMUM, sighting


def test_its_own_config_removed_in_the_middle_and_put_back(farm: Farm) -> None:
    config = (farm.vassals / HOOK).read_text()
    with Watcher(farm) as watcher, Client(farm) as client:
        story = Story(farm)
        id_ = story.wait_middle()
        farm.remove_vassal(HOOK)
        # Whoever was taken out and not yet touched has its traffic back, whoever was touched returns by itself.
        eventually(lambda: live(farm) == FIVE.vassals, "everybody serves", 20)
        farm.touch_trigger()
        farm.add_vassal(HOOK, config)
        story.wait_end()
        assert farm.history()[story.rolls]["id"] == id_
        # The touch made meanwhile gives one roll more.
        eventually(lambda: len(farm.history()) > story.rolls + 1, "the roll of the second touch")
        assert observe(lambda: len(farm.history()), 1.0) == {story.rolls + 2}
        assert farm.history()[-1]["result"] == "done"
        assert respawns(farm) == {vassal: count + 2 for vassal, count in story.respawns.items()}
        client.stop()
        sighting = watcher.stop()
    assert client.failed == []
    assert sighting.minimum() >= MINIMUM, sighting


def test_the_emperor_stopped_in_the_middle_and_started_again(farm: Farm) -> None:
    with Client(farm) as client:
        story = Story(farm)
        id_ = story.wait_middle()
    farm.restart(patience=20)
    assert farm.leftovers == []
    farm.wait_subscribed()
    story.wait_end()
    assert farm.history()[-1]["id"] == id_
    assert client.failed == []
    # The start has renewed everybody: there was nothing left to reload.
    assert respawns(farm) == dict.fromkeys(farm.app_ids(), 0)
    assert farm.roll_now()["result"] == "done"


def test_the_emperor_killed_in_the_middle(farm: Farm) -> None:
    """Its master starts another one at once."""
    story = Story(farm)
    id_, emperor = story.wait_middle(), farm.emperor()["pid"]
    before = alive(child.pid for child in psutil.Process(emperor).children(recursive=True))
    assert farm.status()["hook"]["pid"] in {process.pid for process in before}
    os.kill(emperor, signal.SIGKILL)
    eventually(
        lambda: not before & alive(process.pid for process in farm.processes()), "the processes of before gone", AT_ONCE
    )
    story.wait_end()
    assert farm.history()[-1]["id"] == id_
    assert respawns(farm) == dict.fromkeys(farm.app_ids(), 0)
    assert farm.roll_now()["result"] == "done"


def test_the_whole_instance_killed_in_the_middle_and_started_again(farm: Farm) -> None:
    story = Story(farm)
    id_, started = story.wait_middle(), hook_started(farm)
    farm.crash(patience=AT_ONCE)
    farm.wait_subscribed()
    story.wait_end()
    assert farm.history()[-1]["id"] == id_
    assert hook_started(farm) > started
    assert respawns(farm) == dict.fromkeys(farm.app_ids(), 0)
    assert farm.roll_now()["result"] == "done"


def alive(pids: Iterable[int]) -> set[Process]:
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(Process.of(pid))
    return found


def test_the_emperor_killed_under_a_hook_that_outlives_it(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(FIVE,), hook=(f"reload-hook-minimum-active-vassals = {MINIMUM}",), home="host"))
    story = Story(farm)
    id_, pid = story.wait_middle(), farm.status()["hook"]["pid"]
    os.kill(farm.emperor()["pid"], signal.SIGKILL)  # its master starts another one, and all vassals die with it
    story.wait_end()
    assert farm.history()[-1]["id"] == id_
    assert farm.status()["hook"]["pid"] == pid


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda text: text[:20], "Unterminated string"),
        (lambda _: "", "Expecting value"),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "its schema is 99"),
    ],
    ids=["torn", "empty", "of another schema"],
)
def test_a_journal_that_cannot_be_used_is_set_aside_and_everybody_rolled(
    start: Callable[[Layout], Farm], spoil: Callable[[str], str], why: str
) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), home="vassal"))
    config = (farm.vassals / HOOK).read_text()
    first = farm.roll_now()
    farm.remove_vassal(HOOK)
    journal = farm.directory / "trigger.journal"
    before = farm.workers()
    journal.write_text(spoil(journal.read_text()))
    farm.add_vassal(HOOK, config)
    assert farm.wait_result(first)["result"] == "done"
    assert f"trigger.journal cannot be used ({why}" in farm.log()
    assert all(renewed.isdisjoint(before[vassal]) for vassal, renewed in farm.workers().items())
    assert journal.with_name("trigger.journal.unusable").exists()
