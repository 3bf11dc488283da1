"""How the hook starts, and how it does not: one clear line, and then quiet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest

from integration.farm import HOOK, Farm
from integration.layout import App, Layout, trigger_line
from integration.waiting import eventually, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.processes import Process

QUICK = App(vassals=2, load_seconds=0)
# uWSGI's master looks for dead mules once a second.
WATCH_SECONDS = 3.0


@dataclass(frozen=True)
class Mistake:
    """A wrong ini of the hook's vassal (`{trigger}` is the good line), and what its log line must say."""

    name: str
    lines: tuple[str, ...]
    says: tuple[str, ...]


MISTAKES = [
    Mistake("no-trigger", (), ("reload-hook-trigger",)),
    Mistake(
        "bad-number",
        ("{trigger}", "reload-hook-timeout = soon"),
        ("reload-hook-timeout", "soon", "number|seconds"),
    ),
    Mistake(
        "bad-minimum",
        ("{trigger}", "reload-hook-minimum-active-vassals = most"),
        ("reload-hook-minimum-active-vassals", "most", "number", "percentage|%"),
    ),
    # uWSGI replaces the percent sign and the end of the line by nothing: the value is `50reload-hook-timeout = 5`.
    Mistake(
        "single-percent-sign",
        ("{trigger}", "reload-hook-minimum-active-vassals = 50%", "reload-hook-timeout = 5"),
        ("reload-hook-minimum-active-vassals", "50%%"),
    ),
    Mistake("unknown-key", ("{trigger}", "reload-hook-tiemout = 5"), ("reload-hook-tiemout", "reload-hook-timeout")),
    Mistake(
        "strict",
        ("strict = true", "set-ph = {trigger}", "set-ph = reload-hook-deadline=-1"),
        ("reload-hook-deadline", "-1"),
    ),
    Mistake(
        "nowhere",
        ("{trigger}", "reload-hook-emperor-stats-socket = /nowhere/emperor.stats"),
        ("reload-hook-emperor-stats-socket", "/nowhere/emperor.stats"),
    ),
    Mistake(
        "nowhere-router",
        ("{trigger}", "reload-hook-fastrouter-stats-socket = /nowhere/router.stats"),
        ("reload-hook-fastrouter-stats-socket", "/nowhere/router.stats"),
    ),
]


@dataclass(frozen=True)
class Outcome:
    """What a hook vassal with a mistake did, over some seconds."""

    log: str
    logs_seen: int
    mules_seen: int


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """All the mistakes at once beside one Emperor, each with a log of its own."""
    with Farm(Layout(apps=(QUICK,), hook=None)) as farm:
        trigger = trigger_line(farm.directory).replace(" = ", "=")
        for mistake in MISTAKES:
            lines = [line.format(trigger=trigger) for line in mistake.lines]
            farm.add_hook(f"{mistake.name}.ini", own_log(farm, mistake.name), *lines)
        for mistake in MISTAKES:
            eventually(partial(complaints, farm, mistake.name), f"a complaint of {mistake.name}")
        seen = observe(partial(snapshot, farm), WATCH_SECONDS)
        return {
            mistake.name: Outcome(
                log=read_log(farm, mistake.name),
                logs_seen=len({states[number][0] for states in seen}),
                mules_seen=len({states[number][1] for states in seen}),
            )
            for number, mistake in enumerate(MISTAKES)
        }


def snapshot(farm: Farm) -> tuple[tuple[str, frozenset[Process]], ...]:
    return tuple((read_log(farm, mistake.name), farm.children(f"{mistake.name}.ini")) for mistake in MISTAKES)


def own_log(farm: Farm, name: str) -> str:
    return f"logto = {farm.directory}/run/{name}.log"


def read_log(farm: Farm, name: str) -> str:
    path = farm.directory / "run" / f"{name}.log"
    return path.read_text() if path.exists() else ""


def complaints(farm: Farm, name: str) -> list[str]:
    return hook_lines(read_log(farm, name))


def hook_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if "reload-hook" in line]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_one_clear_line_and_no_restart_loop(mistake: Mistake, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[mistake.name]
    (line,) = hook_lines(outcome.log)
    for said in mistake.says:
        assert re.search(said, line), line
    assert "Traceback" not in outcome.log
    assert "died" not in outcome.log
    assert (outcome.logs_seen, outcome.mules_seen) == (1, 1), outcome.log


def test_an_emperor_without_stats_is_named_with_the_cure() -> None:
    with Farm(Layout(apps=(QUICK,), hook=None, stats_servers=False)) as farm:
        farm.add_hook(HOOK, own_log(farm, "hook"), trigger_line(farm.directory))
        eventually(lambda: complaints(farm, "hook"), "a complaint")
        logs = observe(lambda: read_log(farm, "hook"), WATCH_SECONDS)
    (log,) = logs
    (line,) = hook_lines(log)
    assert "reload-hook-emperor-stats-socket" in line
    assert "emperor-stats-server" in line


def test_the_import_form_in_a_plain_mule(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    farm.add_hook(HOOK, "mule = true", trigger_line(farm.directory), start="import = uwsgi_reload_hook.mule")
    farm.wait_hook()
    workers = farm.workers()
    assert farm.roll_now()["result"] == "done"
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def test_strict_mode_with_set_ph(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    trigger = trigger_line(farm.directory).replace(" = ", "=")
    farm.add_hook(HOOK, "strict = true", f"set-ph = {trigger}", "set-ph = reload-hook-canary=2")
    farm.wait_hook()
    # A canary of both vassals is more than the minimum leaves: it is the minimum that counts.
    assert farm.roll_now()["result"] == "done"


def test_the_hook_leaves_itself_alone_and_keeps_others_out(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    config = farm.vassals / HOOK
    before = config.stat().st_mtime_ns, farm.children(HOOK)
    (mule,) = before[1]
    assert farm.status()["hook"]["pid"] == mule.pid

    other = farm.directory / "configs" / "trigger"
    farm.add_hook("other.ini", own_log(farm, "other"), f"reload-hook-trigger = {other}")
    eventually(lambda: complaints(farm, "other"), "a complaint of the second hook")
    logs = observe(lambda: read_log(farm, "other"), WATCH_SECONDS)
    assert len(logs) == 1, logs
    (line,) = hook_lines(logs.pop())
    assert re.search("lock|another hook|already", line), line
    workers = farm.workers()
    other.touch()
    assert observe(lambda: tuple(farm.workers().values()), 1.0) == {tuple(workers.values())}

    roll = farm.roll_now()
    assert roll["result"] == "done"
    assert HOOK not in roll["vassals"]
    assert (config.stat().st_mtime_ns, farm.children(HOOK)) == before
    assert farm.vassal_stats()[HOOK]["respawns"] == 0


def test_a_touch_while_the_hook_is_away_is_not_lost(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    first = farm.roll_now()
    farm.remove_vassal(HOOK)
    workers = farm.workers()
    farm.touch_trigger()
    farm.add_hook(HOOK, trigger_line(farm.directory))
    assert farm.wait_result(first)["result"] == "done"
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())


def test_the_hook_stops_and_reloads_at_once(start: Callable[[Layout], Farm]) -> None:
    """A mule that does not notice is waited for: a minute at a reload."""
    farm = start(Layout(apps=(QUICK,)))
    (mule,) = farm.children(HOOK)
    (farm.vassals / HOOK).touch()
    eventually(lambda: farm.children(HOOK) - {mule}, "a new mule", 20)
    eventually(lambda: not psutil.pid_exists(mule.pid), "the old mule gone", 20)
    eventually(lambda: farm.status()["hook"]["pid"] != mule.pid, "the new mule's status", 20)
    assert farm.roll_now()["result"] == "done"
    farm.stop(patience=20)
    assert farm.leftovers == []
