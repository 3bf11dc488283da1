"""Vassals whose old processes do not end by themselves: uWSGI gives them a mercy, and then kills them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import layout as layouts
from integration.client import Client, fetch
from integration.layout import App, Layout
from integration.mid_roll import phases
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

MINIMUM = "reload-hook-minimum-active-vassals"
LINGERS = ("lazy-apps = true", "enable-threads = true", "env = LINGER=1")
# A daemon that outlives SIGCONT, with which it is asked to stop.
DAEMON = "attach-daemon2 = cmd=sleep 999,stopsignal=18"


def test_a_worker_that_does_not_end_has_the_default_mercy_and_a_minute_more(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0, lines=LINGERS),), hook=(f"{MINIMUM} = 0",)))
    farm.deploy("new")
    roll = farm.roll_now(100)
    assert roll["result"] == "done", roll["reason"]
    assert "is taking too much time to die...NO MERCY" in farm.log()
    assert fetch(farm.http_port, "app.test").version == "new"


def test_workers_that_do_not_end_hold_up_a_roll_for_their_own_mercy_only(start: Callable[[Layout], Farm]) -> None:
    app = App(vassals=2, load_seconds=0, lines=(*LINGERS, "worker-reload-mercy = 1"))
    farm = start(Layout(apps=(app,)))
    farm.deploy("new")
    with Client(farm) as client:
        roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert client.failed == []


@pytest.mark.parametrize(
    ("lines", "option", "seconds"),
    [
        ((*LINGERS, "worker-reload-mercy = 40"), "worker-reload-mercy", 40),
        (("mule = true", "mule-reload-mercy = 50", "worker-reload-mercy = 2"), "mule-reload-mercy", 50),
        ((DAEMON, "reload-mercy = 20"), "reload-mercy and worker-reload-mercy", 80),
        ((DAEMON, DAEMON, "worker-reload-mercy = 1"), "reload-mercy and worker-reload-mercy", 7),
    ],
)
def test_a_timeout_that_is_shorter_than_a_mercy_names_the_mercy(
    start: Callable[[Layout], Farm], lines: tuple[str, ...], option: str, seconds: int
) -> None:
    app = App(vassals=1, load_seconds=0, lines=lines)
    farm = start(Layout(apps=(app,), hook=(f"{MINIMUM} = 0", "reload-hook-timeout = 1")))
    if "mule = true" in lines:
        farm.remove_vassal("app-1.ini")
        text = layouts.app_ini(farm.directory, app, farm.subscription_server)
        farm.add_vassal("app-1.ini", text.replace("mule = true", f"mule = {layouts.HERE}/lingering_mule.py"))
        farm.wait_subscribed()
    roll = farm.roll_now()
    assert roll["result"] == "failed", roll
    said = roll["vassals"]["app-1.ini"]["reason"]
    assert "its old processes have not ended" in said
    assert f"{option} lets them run for {seconds} s: raise reload-hook-timeout above that" in said


def test_a_vassal_of_daemons_is_given_the_time_that_each_daemon_has(start: Callable[[Layout], Farm]) -> None:
    """It is done after all applications: `reload-mercy` counts for one daemon after another."""
    app = App(vassals=2, load_seconds=0)
    farm = start(Layout(apps=(app,)))
    farm.add_vassal("daemons.ini", layouts.ini(["master = true", "processes = 0", "reload-mercy = 2", DAEMON, DAEMON]))
    eventually(lambda: len(farm.children("daemons.ini")) == 2, "two daemons")
    before = farm.children("daemons.ini")
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys([*farm.app_ids(), "daemons.ini"], "done")
    assert not before & farm.children("daemons.ini")
