"""A hook that cannot start: a touch counts all the same, and whoever asks is told why nothing happens."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from integration import layout as layouts
from integration.commands import Command
from integration.farm import HOOK
from integration.layout import App, Layout, trigger_line
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.farm import Farm

QUICK = App(vassals=2, load_seconds=0)
SLOW = App(vassals=2, load_seconds=1.0)


@contextmanager
def command(*arguments: object) -> Iterator[Command]:
    running = Command(*arguments)
    try:
        yield running
    finally:
        running.end()


def asked(*arguments: object) -> tuple[int, str]:
    """The exit code of a command and what it said."""
    with command(*arguments) as running:
        code = running.wait()
        return code, running.said


def starting(farm: Farm, trigger: Path, reason: str) -> dict[str, Any]:
    """The status file beside a trigger, once it says that the hook cannot start for a reason with these words."""
    path = trigger.with_name(f"{trigger.name}.status.json")

    def said() -> dict[str, Any] | None:
        status: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return status if status.get("state") == "starting" and reason in status["reason"] else None

    try:
        return eventually(said, f"{path} says {reason}")
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{farm.log_tail()}") from error


def renewed(farm: Farm, before: dict[str, frozenset[Any]]) -> bool:
    return all(workers.isdisjoint(before[vassal]) for vassal, workers in farm.workers().items())


def mule(farm: Farm, *lines: str) -> str:
    return layouts.hook_ini(farm.directory, (trigger_line(farm.directory), *lines))


def attached(farm: Farm, *lines: str) -> str:
    return layouts.attached_ini((trigger_line(farm.directory), *lines))


@pytest.mark.parametrize("home", [mule, attached])
def test_a_touch_counts_that_comes_while_a_first_hooks_option_is_wrong(
    start: Callable[[Layout], Farm], home: Callable[..., str]
) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    farm.add_vassal(HOOK, home(farm, "reload-hook-timeout = soon"))
    status = starting(farm, farm.trigger, "reload-hook-timeout = soon: not accepted")
    assert status["roll"] is None
    code, said = asked("status", farm.trigger)
    assert code == 4
    assert said.startswith("cannot start: reload-hook-timeout = soon: not accepted; give seconds")
    assert "fix it, and touch the hook's config" in said
    code, said = asked("trigger", farm.trigger)
    assert code == 0
    assert "the hook cannot start: reload-hook-timeout = soon" in said
    workers = farm.workers()
    farm.add_vassal(HOOK, home(farm))
    farm.emperor()  # makes it scan
    assert farm.wait_result({})["result"] == "done"
    assert renewed(farm, workers)
    assert asked("status", farm.trigger)[0] == 0


def test_who_waits_for_a_roll_is_told_why_the_hook_cannot_start(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    late = farm.directory / "run" / "late.stats"
    farm.add_hook(HOOK, trigger_line(farm.directory), f"reload-hook-fastrouter-stats-socket = {late}")
    starting(farm, farm.trigger, f"reload-hook-fastrouter-stats-socket = {late}")
    workers = farm.workers()
    with command("trigger", "--wait", farm.trigger) as waiting:
        (line,) = eventually(lambda: list(waiting.complaints), "the reason")
        assert line.startswith("waits, because the hook cannot start yet: reload-hook-fastrouter-stats-socket = ")
        late.symlink_to(farm.directory / "router.stats")
        assert waiting.wait() == 0
    assert waiting.lines[-1] == "done: 2 of 2 vassals reloaded"
    assert renewed(farm, workers)


def test_who_waits_for_a_hook_that_stands_by_is_told_of_the_other_one(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    pid = farm.status()["hook"]["pid"]
    other = farm.directory / "configs" / "trigger"
    farm.add_hook("other.ini", f"reload-hook-trigger = {other}")
    starting(farm, other, f"another hook (pid {pid}) holds the lock")
    code, said = asked("trigger", "--wait", other)
    assert code == 4
    assert said.splitlines()[-1].startswith(f"the hook cannot start: another hook (pid {pid}) holds the lock")


def test_a_hook_that_stands_by_leaves_the_status_of_the_one_that_acts(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    before = farm.status_path.stat()
    farm.add_hook("twin.ini", trigger_line(farm.directory))
    eventually(lambda: "stands by until the other ends" in farm.log(), "the second hook stands by")
    assert farm.status_path.stat().st_ino == before.st_ino
    assert asked("status", farm.trigger)[0] == 0
    assert farm.roll_now()["result"] == "done"
    pid = farm.status()["hook"]["pid"]
    farm.remove_vassal(HOOK)
    eventually(lambda: farm.status()["hook"]["pid"] != pid and farm.status()["state"] == "idle", "the twin takes over")
    assert asked("status", farm.trigger)[0] == 0


def test_a_dead_hook_is_not_running_whatever_its_status_says(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    farm.roll_now()
    pid = farm.status()["hook"]["pid"]
    farm.remove_vassal(HOOK)
    code, said = asked("status", farm.trigger)
    assert code == 4
    first, roll, *vassals = said.splitlines()
    assert first.startswith(f"NOT RUNNING: hook pid {pid} in a mule, version ")
    assert "it was idle" in first
    assert roll.endswith("done")
    assert len(vassals) == 3
    code, said = asked("status", "--json", farm.trigger)
    assert code == 4
    assert "NOT RUNNING" in said
    code, said = asked("trigger", farm.trigger)
    assert (code, said) == (0, f"no hook is running for it ({farm.status_path}): the touch waits until there is one")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_roll_goes_on_when_who_waits_for_it_is_interrupted(
    start: Callable[[Layout], Farm], number: signal.Signals
) -> None:
    farm = start(Layout(apps=(SLOW,)))
    with command("trigger", "--wait", farm.trigger) as waiting:
        eventually(lambda: waiting.lines, "the roll")
        waiting.process.send_signal(number)
        assert waiting.wait() == 130
    (line,) = waiting.complaints
    assert line == f"interrupted by {number.name}: the roll goes on, and is not followed any more"
    assert farm.wait_result({})["result"] == "done"


@pytest.mark.parametrize("flags", [(), ("--wait",), ("--message", "hello")])
def test_a_trigger_with_a_typo_is_said_and_not_made(start: Callable[[Layout], Farm], flags: tuple[str, ...]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    typo = farm.directory / "triger"
    code, said = asked("trigger", *flags, typo)
    assert code == 4
    assert f"{typo} is not made, because no hook is running for it" in said
    assert not typo.exists()
    typo.touch()
    code, said = asked("trigger", *flags, typo)
    assert code == (4 if "--wait" in flags else 0)
    assert f"no hook is running for it, and none ever has ({typo}.status.json does not exist)" in said
    assert farm.roll() == {}
