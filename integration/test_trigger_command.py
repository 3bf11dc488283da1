"""`trigger --wait`: the roll of that very touch, line by line, with the exit codes that a script can rely on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from integration.commands import Command
from integration.farm import HOOK, Farm
from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = ["app-1.ini", "app-2.ini", "app-3.ini"]
KEEP_DOWN = "emperor-throttle = 60000"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with Farm(Layout(apps=(App(vassals=3, load_seconds=0.3),), instance_lines=(KEEP_DOWN,))) as farm:
        yield farm


@contextmanager
def trigger(farm: Farm, *flags: str) -> Iterator[Command]:
    command = Command("trigger", *flags, farm.trigger)
    try:
        yield command
    finally:
        command.end()


def steps(command: Command, vassal: str) -> list[str]:
    return [line.split(": ")[1] for line in command.lines if line.startswith(f"{vassal}: ")]


def test_without_wait_it_touches_and_leaves(farm: Farm) -> None:
    before = farm.roll()
    with trigger(farm, "--message", "by hand", "--request-id", "42") as command:
        assert command.wait() == 0
    assert command.said == ""
    roll = farm.wait_result(before)
    assert (roll["request"]["message"], roll["request"]["request_id"]) == ("by hand", "42")


def test_each_vassal_is_told_and_then_the_outcome(farm: Farm) -> None:
    with trigger(farm, "--wait") as command:
        assert command.wait() == 0
    assert command.lines[-1] == "done: 3 of 3 vassals reloaded"
    assert command.complaints == []
    for vassal in IDS:
        assert steps(command, vassal)[-1] == "done"
    assert farm.roll()["request"]["message"] == "", "what was said before is not said again"


def test_touches_in_the_middle_of_a_roll_wait_for_the_one_after_it(farm: Farm) -> None:
    rolls = len(farm.history())
    with trigger(farm, "--wait") as first:
        eventually(lambda: first.lines, "the first roll")
        with trigger(farm, "--wait") as second, trigger(farm, "--wait") as third:
            assert [first.wait(), second.wait(), third.wait()] == [0, 0, 0]
    assert len(farm.history()) == rolls + 2
    for command in (first, second, third):
        assert command.lines[-1] == "done: 3 of 3 vassals reloaded"
        assert all(steps(command, vassal).count("done") == 1 for vassal in IDS)


def test_only_some_vassals(farm: Farm) -> None:
    with trigger(farm, "--wait", "--only", "app-2.*") as command:
        assert command.wait() == 0
    assert command.lines[-1] == "done: 1 of 1 vassals reloaded"


def test_the_time_given_is_over(farm: Farm) -> None:
    before = farm.roll()
    with trigger(farm, "--wait", "--timeout", "0.3") as command:
        assert command.wait() == 3
    assert "has not ended in 0.3 s; it goes on" in command.said
    assert farm.wait_result(before)["result"] == "done"


def test_a_broken_deploy(farm: Farm) -> None:
    farm.deploy("broken")
    with trigger(farm, "--wait") as command:
        assert command.wait() == 1
    assert steps(command, "app-1.ini")[-1] == "failed"
    (verdict,) = command.complaints
    assert verdict.startswith("failed: 0 of 3 vassals reloaded; app-1.ini: ")
    farm.deploy("new")
    with trigger(farm, "--wait") as command:
        assert command.wait() == 0, command.said


def test_a_minimum_that_cannot_be_kept(farm: Farm) -> None:
    configs = {vassal: (farm.vassals / vassal).readlink() for vassal in IDS[1:]}
    for vassal in configs:
        farm.remove_vassal(vassal)
    try:
        eventually(lambda: sum(len(slot["nodes"]) for slot in farm.router()["subscriptions"]) == 1, "one node", 40)
        with trigger(farm, "--wait") as command:
            assert command.wait() == 5
        assert "refused: 0 of 1 vassals reloaded; key app.test has 1 vassal and the minimum is 1" in command.said
    finally:
        for vassal, config in configs.items():
            (farm.vassals / vassal).symlink_to(config)
        farm.wait_subscribed()


def test_without_a_hook_there_is_an_answer_and_the_touch_is_kept(farm: Farm) -> None:
    config = (farm.vassals / HOOK).read_text()
    rolls = len(farm.history())
    farm.remove_vassal(HOOK)
    with trigger(farm, "--wait") as command:
        assert command.wait() == 4
    assert "no hook is running" in command.said
    farm.add_vassal(HOOK, config)
    farm.emperor()  # makes it scan
    eventually(lambda: len(farm.history()) == rolls + 1, "the roll of that touch")
    assert farm.history()[-1]["result"] == "done"


def test_a_trigger_that_cannot_be_touched(farm: Farm) -> None:
    command = Command("trigger", "--wait", farm.directory / "nowhere" / "trigger")
    try:
        assert command.wait() == 2
    finally:
        command.end()
    assert "cannot be touched: No such file or directory" in command.said
