"""The hook's own config: what uWSGI makes of it, and what happens when another home's config takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from integration import layout as layouts
from integration.farm import HOOK
from integration.layout import App, Layout, trigger_line
from integration.test_starting import asked, starting
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

QUICK = App(vassals=2, load_seconds=0)
MINIMUM = "reload-hook-minimum-active-vassals"


def in_a_mule(farm: Farm, *lines: str) -> str:
    return layouts.hook_ini(farm.directory, (trigger_line(farm.directory), *lines))


def attached(farm: Farm, *lines: str, arguments: str = "") -> str:
    return layouts.attached_ini((trigger_line(farm.directory), *lines), arguments=arguments)


def replace(farm: Farm, text: str) -> None:
    """Puts another config in the place of the hook's."""
    farm.add_vassal(HOOK, text)
    farm.emperor()  # makes it scan


def wait_mode(farm: Farm, mode: str) -> None:
    def reached() -> bool:
        status = farm.status()
        return (status["state"], status["hook"]["mode"]) == ("idle", mode)

    eventually(reached, f"the hook in its home `{mode}`")


def test_another_homes_config_takes_the_place_of_an_attached_vassals(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), home="vassal"))
    replace(farm, in_a_mule(farm))
    wait_mode(farm, "mule")
    assert farm.roll_now()["result"] == "done"
    replace(farm, attached(farm))
    wait_mode(farm, "vassal")
    assert farm.roll_now()["result"] == "done"


def test_an_attached_vassal_is_started_by_the_command_that_its_config_names_now(
    start: Callable[[Layout], Farm],
) -> None:
    farm = start(Layout(apps=(QUICK,), home="vassal"))
    log = farm.directory / "run" / "hook.log"
    replace(farm, attached(farm, arguments=f"--log-file {log}"))
    eventually(lambda: log.exists() and "waits for" in log.read_text(), "the new command's log")
    pid = farm.vassal_stats()[HOOK]["pid"]
    assert str(log) in psutil.Process(pid).cmdline()
    replace(farm, attached(farm, "reload-hook-canary = 2", arguments=f"--log-file {log}"))
    eventually(lambda: log.read_text().count("waits for") == 2, "the hook anew")
    assert farm.vassal_stats()[HOOK]["pid"] == pid, "with the same command it executes itself anew"


@pytest.mark.parametrize("home", [in_a_mule, attached])
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((f"{MINIMUM} = 50%", ""), id="before an empty line"),
        pytest.param((f"{MINIMUM} = 50% ", "reload-hook-canary = 1"), id="before a space"),
        pytest.param(("; of them, 50%", f"{MINIMUM} = 2", "reload-hook-canary = 1"), id="in a comment above"),
    ],
)
def test_a_single_percent_sign_is_refused_with_the_way_to_write_it(
    start: Callable[[Layout], Farm], home: Callable[..., str], lines: tuple[str, ...]
) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    farm.add_vassal(HOOK, home(farm, *lines))
    starting(farm, farm.trigger, "has a single % in the line")
    code, said = asked("status", farm.trigger)
    assert code == 4
    assert lines[0].strip() in said
    assert f"write %% there, as in {MINIMUM} = 50%%" in said
    replace(farm, home(farm, f"{MINIMUM} = 50%%"))
    farm.wait_hook()
    assert farm.roll_now()["minimum"] == {"app.test": 1}
