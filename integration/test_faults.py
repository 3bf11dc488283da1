"""What goes wrong, or changes, in the middle of a roll: on real servers, under load."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.client import Client, fetch
from integration.farm import UWSGI
from integration.layout import App, Layout
from integration.mid_roll import add_like, held, live, phases, refs, wait_answers, wait_phases
from integration.processes import free_port
from integration.services import cannot_run, needed
from integration.waiting import eventually, observe
from integration.watcher import Sighting, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.farm import Farm

MINIMUM = "reload-hook-minimum-active-vassals"
PROBE = "reload-hook-probe = /"
OUT = 12.0
"""Seconds for which a vassal that answers badly must stay out: it would announce itself every ten."""


@pytest.mark.parametrize(("version", "line"), [("failing", "500 Oops"), ("uncallable", "500 Internal Server Error")])
def test_a_canary_that_answers_500_stays_out_until_the_next_good_deploy(
    start: Callable[[Layout], Farm], version: str, line: str
) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.3, need_app=False),), hook=(PROBE,)))
    workers = farm.workers()
    with Client(farm) as client:
        wait_answers(client)
        farm.deploy(version)
        roll = farm.roll_now()
        assert roll["result"] == "failed"
        assert phases(roll) == {"app-1.ini": "failed", "app-2.ini": "pending", "app-3.ini": "pending"}
        assert line in roll["reason"]
        assert line in roll["vassals"]["app-1.ini"]["reason"]
        assert observe(lambda: live(farm), OUT) == {frozenset({"app-2.ini", "app-3.ini"})}
        assert {vassal: farm.workers()[vassal] == workers[vassal] for vassal in farm.app_ids()} == {
            "app-1.ini": False,
            "app-2.ini": True,
            "app-3.ini": True,
        }
        assert {answer.version for answer in client.answers} == {"old"}
        recover(farm, "app-1.ini")
        wait_answers(client)
    assert client.failed == []
    assert client.answers[-1].version == "new"


def recover(farm: Farm, lost: str) -> None:
    farm.deploy("new")
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    finished = roll["vassals"][lost]["finished"]
    assert all(entry["started"] >= finished for vassal, entry in roll["vassals"].items() if vassal != lost)
    farm.wait_subscribed()


def test_a_vassal_on_an_http_socket_is_asked_over_http(start: Callable[[Layout], Farm]) -> None:
    """A raw router passes bytes on as they are, so what it has behind it speaks HTTP itself."""
    port = free_port()
    key = f"127.0.0.1:{port}"
    router = (
        f"rawrouter = {key}",
        "rawrouter-subscription-server = %draw.subscription",
        "rawrouter-stats-server = %draw.stats",
    )
    hook = (PROBE, "reload-hook-vassals = raw-*")
    app = App(vassals=1, load_seconds=0.2, need_app=False)
    farm = start(Layout(apps=(app,), hook=hook, instance_lines=router))
    for vassal in ("raw-1.ini", "raw-2.ini"):
        subscription = f"{farm.subscription_server}:{app.key}", f"{farm.directory}/raw.subscription:{key}"
        add_like(farm, vassal, app, ("\nsocket = ", "\nhttp-socket = "), subscription)
    raw = farm.directory / "raw.stats"
    eventually(lambda: len(stats.live_nodes(stats.read(raw)).get(key, set())) == 2, "two nodes at the raw router")
    with Client(farm, keys=["app.test"], port=port) as client:
        wait_answers(client)
        farm.deploy("failing")
        failed = farm.roll_now()
        recover(farm, "raw-1.ini")
        wait_answers(client)
    assert phases(failed) == {"raw-1.ini": "failed", "raw-2.ini": "pending"}
    assert "500 Oops" in failed["reason"]
    assert client.failed == []
    assert client.answers[-1].version == "new"


def test_a_vassal_that_no_router_knows_is_asked_too_and_goes_on_answering(start: Callable[[Layout], Farm]) -> None:
    """To pause it would keep it out of nothing: whoever asks it would wait instead of being told."""
    port = free_port()
    app = App(vassals=1, load_seconds=0.2, need_app=False)
    farm = start(Layout(apps=(app,), hook=(PROBE, "reload-hook-vassals = lone.ini")))
    http = f"\nsocket = {farm.directory}/run/%n.sock", f"\nhttp-socket = 127.0.0.1:{port}"
    add_like(farm, "lone.ini", app, http, ("subscribe-to = ", "; "))
    eventually(lambda: (farm.vassal("lone.ini") or {}).get("accepting"), "the vassal accepting")
    farm.deploy("failing")
    roll = farm.roll_now()
    assert phases(roll) == {"lone.ini": "failed"}
    assert "500 Oops" in roll["reason"]
    assert fetch(port, "lone.test").status == 500
    recover(farm, "lone.ini")
    assert fetch(port, "lone.test").version == "new"


def test_a_config_added_and_another_removed_in_the_middle(start: Callable[[Layout], Farm]) -> None:
    app = App(vassals=5, load_seconds=0.3)
    farm = start(Layout(apps=(app,), hook=(f"{MINIMUM} = 3",)))
    with Watcher(farm) as watcher, Client(farm) as client:
        wait_answers(client)
        with held(farm):
            farm.deploy("new")
            farm.touch_trigger()
            assert wait_phases(farm, 1, "restarting") == {"app-1.ini"}
            farm.remove_vassal("app-5.ini")
            add_like(farm, "app-6.ini", app)
            eventually(lambda: farm.vassal("app-6.ini"), "the new one")
        roll = farm.wait_result({})
        eventually(lambda: live(farm) == {f"app-{number}.ini" for number in (1, 2, 3, 4, 6)}, "the new one serving")
        wait_answers(client)
        sighting = watcher.stop()
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == {**dict.fromkeys(farm.app_ids(), "done"), "app-5.ini": "withdrawn"}
    assert "removed" in roll["vassals"]["app-5.ini"]["reason"]
    # What was removed is stopped in the middle of its requests; whoever else was taken left three.
    assert taken_below(3, sighting, but="app-5.ini") == []
    assert client.answers[-1].version == "new"


def test_a_config_removed_while_its_vassal_is_reloaded_costs_no_request(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.3),)))
    with Client(farm) as client:
        wait_answers(client)
        with held(farm):
            farm.deploy("new")
            farm.touch_trigger()
            assert wait_phases(farm, 1, "restarting") == {"app-1.ini"}
            (farm.vassals / "app-1.ini").unlink()
            wait_phases(farm, 1, "withdrawn")
        roll = farm.wait_result({})
        wait_answers(client)
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == {**dict.fromkeys(farm.app_ids(), "done"), "app-1.ini": "withdrawn"}
    assert client.failed == []


def test_a_vassal_killed_in_the_middle_counts_against_the_room_that_is_left(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=8, load_seconds=0.3),), hook=(f"{MINIMUM} = 4", "reload-hook-canary = 0")))
    victim = "app-8.ini"
    with Watcher(farm) as watcher, Client(farm) as client:
        wait_answers(client)
        with held(farm):
            farm.deploy("new")
            farm.touch_trigger()
            wait_phases(farm, 4, "restarting")  # four serve, so there is no room; and now one of them dies
            pid = farm.vassal_stats()[victim]["pid"]
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: (farm.vassal(victim) or {}).get("pid") != pid, "the Emperor noticing")
        roll = farm.wait_result({})
        wait_answers(client)
        sighting = watcher.stop()
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert taken_below(4, sighting, but=victim) == []
    assert client.answers[-1].version == "new"


def test_a_drained_vassal_gets_its_traffic_back_when_another_is_killed(start: Callable[[Layout], Farm]) -> None:
    app = App(vassals=3, load_seconds=0.2, lines=("threads = 8",))
    farm = start(Layout(apps=(app,), hook=(f"{MINIMUM} = 2", "reload-hook-canary = 0")))
    drained, victim = "app-1.ini", "app-3.ini"
    before = {vassal: entry["last_mod"] for vassal, entry in farm.vassal_stats().items()}
    with Watcher(farm) as watcher, Client(farm, path="/slow?seconds=3", threads=9) as slow:
        eventually(lambda: all(refs(farm)), "each with a request in flight")
        with held(farm):
            farm.deploy("new")
            farm.touch_trigger()
            assert wait_phases(farm, 1, "draining") == {drained}
            os.kill(farm.vassal_stats()[victim]["pid"], signal.SIGKILL)
            eventually(lambda: phases(farm.roll())[drained] == "pending", "the drained one given back")
            eventually(lambda: drained in live(farm), "its traffic")
            wait_answers(slow, 9)
            assert farm.vassal_stats()[drained]["last_mod"] == before[drained], (
                "it was touched, with one of two serving"
            )
        slow.stop()
        roll = farm.wait_result({})
        sighting = watcher.stop()
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert taken_below(2, sighting, but=victim) == []
    assert "the minimum needs this one" in farm.log()


def taken_below(minimum: int, sighting: Sighting, *, but: str) -> list[tuple[frozenset[str], int]]:
    """Each time that vassals `but` one stopped serving and left fewer than the minimum: that was the hook's doing."""
    return [(who, count) for who, count in sighting.departures() if who - {but} and count + (but in who) < minimum]


def test_a_vassal_of_two_keys_waits_for_room_under_both(start: Callable[[Layout], Farm]) -> None:
    apps = (App(key="one.test", vassals=2), App(key="two.test", vassals=2, load_seconds=0.2))
    farm = start(Layout(apps=apps, hook=(f"{MINIMUM} = 2",)))
    both = f"subscribe-to = {farm.subscription_server}:"
    add_like(farm, "both-1.ini", apps[0], (f"{both}one.test", f"{both}one.test\n{both}two.test"))
    eventually(lambda: all("both-1.ini" in live(farm, app.key) for app in apps), "both keys")
    with Watcher(farm) as watcher, Client(farm) as client:
        wait_answers(client)
        for app in apps:
            farm.deploy("new", app.name)
        roll = farm.roll_now()
        wait_answers(client)
        sighting = watcher.stop()
    assert roll["result"] == "done", roll["reason"]
    assert roll["minimum"] == {"one.test": 2, "two.test": 2}
    assert roll["vassals"]["both-1.ini"]["keys"] == ["one.test", "two.test"]
    assert client.failed == []
    for app in apps:
        assert sighting.minimum(app.key) == 2, sighting
        assert sighting.timeline[app.key][-1][1] == 3
        assert {answer.version for answer in client.answers[-20:] if answer.key == app.key} == {"new"}


def test_a_router_that_checks_signatures_is_not_drained_and_the_roll_is_done(
    start: Callable[[Layout], Farm], tmp_path: Path
) -> None:
    """Only the vassals have the key: the router drops what the hook sends, and says nothing."""
    if "--subscriptions-sign-check " not in subprocess.check_output([UWSGI, "--help"], text=True):
        cannot_run("this uWSGI was built without OpenSSL, and checks no signatures: install libssl-dev before it")
    private = make_keys(tmp_path, "app.test")
    app = App(vassals=3, load_seconds=0.2, after_key=f",0,SHA256:{private}")
    farm = start(Layout(apps=(app,), instance_lines=(f"subscriptions-sign-check = SHA256:{tmp_path}",)))
    with Watcher(farm) as watcher, Client(farm) as client:
        wait_answers(client)
        farm.deploy("new")
        roll = farm.roll_now()
        wait_answers(client)
        sighting = watcher.stop()
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert client.failed == []
    assert client.answers[-1].version == "new"
    assert sighting.minimum() >= 1, sighting
    assert "are subscriptions signed" in farm.log()


def make_keys(directory: Path, key: str) -> Path:
    """Makes a pair of keys, the public one where a router looks for that of the subscription key `key`."""
    openssl, private = needed("openssl"), directory / "private"
    subprocess.run([openssl, "genpkey", "-quiet", "-algorithm", "RSA", "-out", private], check=True)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", directory / f"{key}.pem"], check=True)
    return private


def test_a_vassal_that_subscribes_no_more_is_rolled_all_the_same(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.2),)))
    assert farm.roll_now()["vassals"]["app-3.ini"]["keys"] == ["app.test"]
    config = farm.vassals / "app-3.ini"
    kept = [line for line in config.read_text().splitlines() if not line.startswith("subscribe-to")]
    farm.add_vassal(config.name, "\n".join(kept))
    later = farm.vassal_stats()[config.name]["last_mod"] + 2
    os.utime(config, (later, later))
    eventually(lambda: live(farm) == {"app-1.ini", "app-2.ini"}, "app-3.ini out of the router", 30)
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert roll["vassals"]["app-3.ini"]["keys"] == []
