"""The main job: a touch of the trigger renews every vassal, and nobody outside notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from integration import layout as layouts
from integration.client import Client
from integration.layout import App, Layout
from integration.mid_roll import refs
from integration.processes import since_boot
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm
    from integration.processes import Process

MINIMUM = "reload-hook-minimum-active-vassals"
# In an ini, uWSGI takes a single % and what follows it for a placeholder: 50%% is how one writes 50%.
EIGHT = App(vassals=8, load_seconds=0.6)


def assert_renewed(farm: Farm, before: dict[str, frozenset[Process]], since: float) -> None:
    """Every app vassal was reloaded gracefully, once, and all its workers are newer than `since` (since_boot)."""
    for vassal, workers in farm.workers().items():
        assert workers, vassal
        assert workers.isdisjoint(before[vassal]), vassal
        assert all(worker.created >= since for worker in workers), vassal
    respawns = {vassal: entry["respawns"] for vassal, entry in farm.vassal_stats().items()}
    assert respawns.pop("hook.ini", 0) == 0
    assert respawns == dict.fromkeys(farm.app_ids(), 1)


def assert_versions(client: Client, touched: float, ended: float) -> None:
    """Only old before the touch, only new after the roll, nothing else in between, and no failure at any time."""
    assert client.failed == []
    before = {answer.version for answer in client.answers if answer.end < touched}
    after = {answer.version for answer in client.answers if answer.start > ended}
    assert (before, after) == ({"old"}, {"new"})
    assert {answer.version for answer in client.answers} == {"old", "new"}


def roll_under_load(farm: Farm, client: Client) -> dict[str, Any]:
    """Deploys, touches and waits; the client has answers from before, from during and from after."""
    eventually(lambda: len(client.answers) > 50, "answers before the touch")
    for app in farm.layout.apps:
        farm.deploy("new", app.name)
    before = farm.workers()
    since, touched = since_boot(), farm.touch_trigger()
    roll = farm.wait_result({})
    answered, ended = len(client.answers), client.answers[-1].end
    eventually(lambda: len(client.answers) > answered + 50, "answers after the roll")
    client.stop()
    assert roll["result"] == "done", roll["reason"]
    assert {vassal: entry["phase"] for vassal, entry in roll["vassals"].items()} == dict.fromkeys(
        farm.app_ids(), "done"
    )
    assert_renewed(farm, before, since)
    assert_versions(client, touched, max(ended, client.answers[answered - 1].end))
    return roll


@pytest.mark.parametrize(("minimum", "serving"), [("7", 7), ("50%%", 4)])  # test_homes.py has 1 and 4
def test_eight_vassals_keep_the_minimum(start: Callable[[Layout], Farm], minimum: str, serving: int) -> None:
    farm = start(Layout(apps=(EIGHT,), hook=(f"{MINIMUM} = {minimum}",)))
    with Watcher(farm) as watcher, Client(farm) as client:
        roll = roll_under_load(farm, client)
        sighting = watcher.stop()
    assert roll["minimum"] is not None
    assert sighting.minimum() == serving, sighting
    assert sighting.timeline["app.test"][-1][1] == 8


def test_vassals_on_tcp_sockets(start: Callable[[Layout], Farm], free_udp: str) -> None:
    app = App(vassals=4, tcp=True)
    farm = start(Layout(apps=(app,), hook=(f"{MINIMUM} = 3",), subscription_server=free_udp))
    with Watcher(farm) as watcher, Client(farm) as client:
        roll_under_load(farm, client)
        sighting = watcher.stop()
    assert sighting.minimum() == 3, sighting


def test_copied_configs_instead_of_symlinks(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.2),), symlinks=False, nofollow=False))
    with Watcher(farm) as watcher, Client(farm) as client:
        roll_under_load(farm, client)
        sighting = watcher.stop()
    assert sighting.minimum() >= 1, sighting


def test_two_applications_each_keep_their_own_minimum(start: Callable[[Layout], Farm]) -> None:
    apps = (App(key="one.test", vassals=4), App(key="two.test", vassals=2, load_seconds=0.3))
    farm = start(Layout(apps=apps, hook=(f"{MINIMUM} = 50%%",)))
    with Watcher(farm) as watcher, Client(farm) as client:
        roll_under_load(farm, client)
        sighting = watcher.stop()
    assert sighting.minimum("one.test") == 2, sighting
    assert sighting.minimum("two.test") == 1, sighting


def test_a_slow_request_is_out_is_finished(start: Callable[[Layout], Farm]) -> None:
    app = App(vassals=3, load_seconds=0.2, lines=("threads = 8",))
    farm = start(Layout(apps=(app,)))
    with Client(farm, path="/slow?seconds=3", threads=9) as slow, Client(farm, threads=2) as client:
        # The router deals the requests out in turn, so each vassal has some of the nine.
        eventually(lambda: sum(refs(farm)) >= 9, "nine slow requests in flight")
        before = farm.workers()
        farm.deploy("new")
        since, touched = since_boot(), farm.touch_trigger()
        roll = farm.wait_result({})
        client.stop()
        slow.stop()
    assert roll["result"] == "done", roll["reason"]
    assert_renewed(farm, before, since)
    assert client.failed == slow.failed == []
    is_out = [answer for answer in slow.answers if answer.start < touched]
    assert len(is_out) >= 9
    assert all(answer.version == "old" and answer.seconds >= 3 for answer in is_out)
    # Everybody's turn came while it had such a request: it was drained, not cut.
    assert {answer.vassal for answer in slow.answers if answer.version == "old" and answer.end > touched} == {
        vassal.removesuffix(".ini") for vassal in farm.app_ids()
    }


def test_the_stats_of_the_whole_instance_in_http(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.1),), stats_http=True))
    before = farm.workers()
    since = since_boot()
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert_renewed(farm, before, since)


def test_a_minimum_that_cannot_be_kept_is_refused(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0),)))
    before = farm.workers()
    roll = farm.roll_now()
    assert roll["result"] == "refused"
    assert "minimum-active-vassals" in roll["reason"]
    assert farm.workers() == before


def test_one_vassal_with_minimum_0_lets_requests_queue(start: Callable[[Layout], Farm]) -> None:
    # What uWSGI unsubscribes by itself cannot be made to wait.
    farm = start(Layout(apps=(App(vassals=1, unsubscribes=False),), hook=(f"{MINIMUM} = 0",)))
    with Client(farm) as client:
        roll_under_load(farm, client)


def test_a_shared_config_is_not_touched_where_the_emperor_follows_symlinks(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), nofollow=False))
    before = farm.workers()
    roll = farm.roll_now()
    assert roll["result"] in {"failed", "refused"}
    assert "emperor-nofollow" in roll["reason"]
    assert farm.workers() == before


def test_a_vassal_that_no_router_knows_is_rolled_last(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.2),)))
    quiet = App(key="aaa.test", vassals=1, load_seconds=0)
    text = layouts.app_ini(farm.directory, quiet, "").replace("start-unsubscribed = true", "")
    lines = [
        line for line in text.splitlines() if not line.startswith(("subscribe-to", "hook-accepting", "unsubscribe"))
    ]
    (farm.directory / quiet.name).mkdir()
    (farm.directory / quiet.name / "load").write_text("0")
    farm.deploy("old", quiet.name)
    farm.add_vassal("aaa-1.ini", "\n".join([*lines, ""]))
    eventually(lambda: (farm.vassal("aaa-1.ini") or {}).get("accepting"), "the quiet vassal accepting")
    workers = farm.children("aaa-1.ini")
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert farm.children("aaa-1.ini").isdisjoint(workers)
    last = roll["vassals"]["aaa-1.ini"]["started"]
    assert all(roll["vassals"][vassal]["finished"] <= last for vassal in farm.app_ids())
