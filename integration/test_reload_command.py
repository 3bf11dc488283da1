"""`reload`, with the flags, the words and the place of the script that did this before."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration import stats
from integration.client import Client
from integration.commands import Command, sockets
from integration.farm import HOOK, Farm
from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = App(vassals=4, load_seconds=0.3)
RELOADED = [f"app-{number}: reloaded" for number in (1, 2, 3, 4)]
# What fails once is kept down, so that the next reload has to clear the blacklist.
KEEP_DOWN = "emperor-throttle = 60000"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """No hook lives here."""
    with Farm(Layout(apps=(APP,), hook=None, instance_lines=(KEEP_DOWN,))) as farm:
        yield farm


@contextmanager
def reload(farm: Farm, *more: str) -> Iterator[Command]:
    command = Command("reload", *sockets(farm.directory), *more)
    try:
        yield command
    finally:
        command.end()


def serving(farm: Farm) -> int:
    return len(stats.live_nodes(farm.router()).get("app.test", set()))


@contextmanager
def held(farm: Farm) -> Iterator[None]:
    """Lets no import of the application end."""
    hold = farm.directory / "app" / "hold"
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


@pytest.mark.parametrize("quiet", [None, "-q"])
def test_the_flags_and_the_words_of_the_old_script(farm: Farm, quiet: str | None) -> None:
    before = farm.workers()
    flags = ["--vassal-config-file-suffix", ".ini", "--minimum-active-vassals", "2", "--timeout", "20"]
    flags += ["--check-interval", "0.1", *([quiet] if quiet else [])]
    with Client(farm) as client, reload(farm, *flags) as command:
        assert command.wait() == 0, command.said
    assert sorted(command.lines) == ([] if quiet else RELOADED)
    assert command.complaints == []
    assert client.failed == []
    assert serving(farm) == APP.vassals
    assert all(renewed.isdisjoint(before[vassal]) for vassal, renewed in farm.workers().items())


def test_a_vassal_that_does_not_come_back_in_time(farm: Farm) -> None:
    with held(farm), reload(farm, "--timeout", "1") as command:
        assert command.wait() == 1
    assert command.lines == ["app-1: timeout reached"]
    assert any("app-1.ini: does not accept requests" in line for line in command.complaints), command.said
    farm.wait_subscribed()


def test_a_second_reload_says_who_holds_the_lock(farm: Farm) -> None:
    with held(farm), reload(farm, "--timeout", "20") as first:
        eventually(lambda: serving(farm) < APP.vassals, "a vassal taken")
        with reload(farm) as second:
            assert second.wait() == 2
        assert second.lines == []
        (complaint,) = second.complaints
        assert f"pid {first.process.pid}" in complaint
        assert "uwsgi_reload_hook reload" in complaint
    assert first.process.returncode == -signal.SIGKILL
    farm.wait_subscribed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reload_that_is_interrupted_leaves_nobody_drained(farm: Farm, number: signal.Signals) -> None:
    with Client(farm) as client:
        with reload(farm) as command:
            eventually(lambda: command.lines, "the first vassal reloaded")
            command.process.send_signal(number)
            assert command.wait() == 1
        assert 1 <= len(command.lines) < APP.vassals
        assert "the hook was stopped" in command.said
        farm.wait_subscribed()
    assert client.failed == []


def test_a_broken_deploy_is_1_and_the_next_good_one_0(farm: Farm) -> None:
    with Client(farm) as client:
        farm.deploy("broken")
        with reload(farm) as command:
            assert command.wait() == 1
        assert command.lines == []
        assert any(line.startswith("uwsgi-reload-hook: failed: app-1.ini: ") for line in command.complaints)
        farm.deploy("new")
        with reload(farm) as command:
            assert command.wait() == 0, command.said
        assert sorted(command.lines) == RELOADED
    assert client.failed == []


def test_a_minimum_that_cannot_be_kept_is_5_and_a_deadline_3(farm: Farm) -> None:
    with reload(farm, "--minimum-active-vassals", "4") as refused:
        assert refused.wait() == 5
    assert "refused: key app.test has 4 vassals and the minimum is 4" in refused.said
    with reload(farm, "--minimum-active-vassals", "3", "--deadline", "0.5") as late:
        assert late.wait() == 3
    assert "the deadline of 0.5 s was reached" in late.said
    assert 1 <= len(late.lines) < APP.vassals


def test_a_socket_that_does_not_answer_is_2(farm: Farm) -> None:
    command = Command("reload", "--emperor-stats-socket", farm.directory / "nowhere")
    try:
        assert command.wait() == 2
    finally:
        command.end()
    assert f"--emperor-stats-socket {farm.directory}/nowhere: " in command.said


def attached(farm: Farm) -> str:
    """The hook as a vassal that has its options from its command line."""
    return layouts.attached_ini((), arguments=f"--trigger {farm.trigger} --minimum-active-vassals=2")


def in_a_mule(farm: Farm) -> str:
    return layouts.hook_ini(farm.directory, (layouts.trigger_line(farm.directory),))


@contextmanager
def hook(farm: Farm, config: str) -> Iterator[int]:
    """A hook beside the farm, for a while; its pid."""
    farm.add_vassal(HOOK, config)
    farm.emperor()  # makes it scan
    try:
        yield farm.wait_hook()["hook"]["pid"]
    finally:
        farm.remove_vassal(HOOK)
        for left in farm.directory.glob("trigger*"):
            left.unlink()


@pytest.mark.parametrize("config", [attached, in_a_mule])
def test_a_hook_that_runs_is_asked_and_followed(farm: Farm, config: Callable[[Farm], str]) -> None:
    with Client(farm) as client, hook(farm, config(farm)) as pid:
        with reload(farm, "--trigger", "/nowhere/else") as command:
            assert command.wait() == 0, command.said
        assert sorted(command.lines) == RELOADED
        assert f"asks the hook that runs here (pid {pid})" in command.said
        assert farm.history()[-1]["result"] == "done"
    assert client.failed == []


def test_where_a_hook_runs_there_is_nothing_to_resume(farm: Farm) -> None:
    with hook(farm, attached(farm)) as pid:
        with reload(farm, "--resume") as command:
            assert command.wait() == 2
        assert farm.history() == []
    assert command.lines == []
    assert f"a hook runs here (pid {pid}) and resumes its own rolls" in command.said


def test_a_hook_that_fails_is_followed_to_its_failure(farm: Farm) -> None:
    with hook(farm, attached(farm)):
        farm.deploy("broken")
        with reload(farm) as command:
            assert command.wait() == 1
        assert command.lines == []
        assert "app-1: failed: " in command.said
        farm.deploy("new")
        with reload(farm) as command:
            assert command.wait() == 0, command.said
        assert sorted(command.lines) == RELOADED


@pytest.mark.parametrize("home", [None, "mule"])
def test_an_emperor_that_scans_a_glob(start: Callable[[Layout], Farm], home: str | None) -> None:
    layout = Layout(apps=(App(vassals=2, load_seconds=0.1),), hook=None if home is None else (), glob=True)
    farm = start(layout)
    command = Command("reload", *sockets(farm.directory)[1:], "--emperor-path", f"{farm.vassals}/*.ini")
    try:
        assert command.wait() == 0, command.said
    finally:
        command.end()
    assert sorted(command.lines) == RELOADED[:2]
    assert {Path(vassal).name for vassal in farm.vassal_stats()} >= {"app-1.ini", "app-2.ini"}
    assert ("asks the hook" in command.said) == (home is not None)
