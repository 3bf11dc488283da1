"""Several routers, each with a tolerance, a subscription server, a clock, a host and a habit of its own."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.client import Client
from integration.farm import UWSGI
from integration.layout import App, Layout
from integration.processes import free_port
from integration.routers import HERE, THERE, Fewest, Router, other_clock, other_host, running
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.farm import Farm

STATS = "reload-hook-fastrouter-stats-socket"
SERVER = "reload-hook-subscription-server"
MINIMUM = "reload-hook-minimum-active-vassals"
NO_CANARY = "reload-hook-canary = 0"


def also_at(server: str) -> str:
    return f"subscribe2 = server={server},key=app.test"


def reasons(roll: dict[str, object]) -> set[str]:
    vassals = roll["vassals"]
    assert isinstance(vassals, dict)
    return {one["phase"] for one in vassals.values()}


def test_a_router_of_its_own_instance_has_a_tolerance_of_its_own(start: Callable[[Layout], Farm]) -> None:
    """Before: nodes silent for 17 s counted as dead, so that three of four were reloaded at once."""
    with Router(["subscription-tolerance = 120"]) as far:
        app = App(vassals=4, load_seconds=0.5, lines=(also_at(far.subscription_server), "subscribe-freq = 60"))
        hook = (f"{STATS} = {far.stats_server}", f"{MINIMUM} = 3", NO_CANARY)
        farm = start(Layout(apps=(app,), hook=hook))
        far.wait_nodes(4)

        def oldest() -> float:
            nodes = far.stats()["subscriptions"][0]["nodes"]
            return time.time() - max(float(node["last_check"]) for node in nodes)

        eventually(lambda: oldest() > 18, "every node silent for longer than uWSGI's default", 90)
        with Fewest(far.nodes) as fewest:
            roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert min(fewest.counts) == 3, fewest.counts


@pytest.fixture
def deaf_server(tmp_path: Path) -> Iterator[str]:
    """A subscription socket that takes packets and does nothing with them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(path := str(tmp_path / "deaf"))
        yield path


def test_a_vassal_is_back_when_it_is_back_at_every_router_even_a_deaf_one(
    start: Callable[[Layout], Farm], deaf_server: str
) -> None:
    """Before: back at one router and missing at the other, it counted as serving, and the next one was taken."""
    with Router() as far:
        app = App(vassals=3, load_seconds=0.2, lines=(also_at(far.subscription_server),))
        farm = start(Layout(apps=(app,), hook=None))
        far.wait_nodes(3)
        farm.add_hook(
            "hook.ini",
            f"reload-hook-trigger = {farm.trigger}",
            f"{STATS} = {farm.directory}/router.stats",
            f"{STATS} = {far.stats_server}",
            f"{SERVER} = {deaf_server}",
            f"{SERVER} = {farm.subscription_server}",
            f"{MINIMUM} = 2",
            NO_CANARY,
        )
        farm.wait_hook()
        with Fewest(far.nodes) as fewest, Client(farm) as client:
            roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert reasons(roll) == {"done"}
        assert min(fewest.counts) >= 2, fewest.counts
        assert client.failed == []
        assert f"drained elsewhere; not drained at {far.stats_server}" in farm.log()


@pytest.mark.parametrize("seconds", [30, -30], ids=["ahead", "behind"])
def test_a_router_on_another_host_with_another_clock_loses_no_request(
    start: Callable[[Layout], Farm], tmp_path: Path, seconds: int
) -> None:
    """Before: packets for the far router went to the near one, because both listen on all hosts at one port."""
    with other_host() as inside:
        packets, near = free_port(), free_port()
        far = Router(
            subscription_server=f"0.0.0.0:{packets}",
            stats_server=f"{THERE}:{free_port()}",
            router=f"0.0.0.0:{near}",
            prefix=inside,
            environment=other_clock(tmp_path, seconds),
        )
        with far:
            # Its second socket is one that the other host reaches.
            lines = (f"socket = {HERE}:0", f"subscribe2 = server={THERE}:{packets},key=app.test,socket=1")
            app = App(vassals=3, load_seconds=0.3, tcp=True, unsubscribes=False, lines=lines)
            farm = start(Layout(apps=(app,), hook=None, subscription_server=f"0.0.0.0:{packets}"))
            far.wait_nodes(3)
            farm.add_hook(
                "hook.ini",
                f"reload-hook-trigger = {farm.trigger}",
                f"{STATS} = {farm.directory}/router.stats",
                f"{STATS} = {far.stats_server}",
                f"{MINIMUM} = 2",
                NO_CANARY,
            )
            farm.wait_hook()
            with (
                Fewest(far.nodes) as fewest,
                Client(farm, host=THERE, port=far.http_port) as there,
                Client(farm) as here,
            ):
                roll = farm.roll_now()
            assert roll["result"] == "done", roll
            assert fewest.counts == {2, 3}, "drained at the far router too"
            assert there.failed == []
            assert here.failed == []


@pytest.mark.parametrize("names_both", [False, True])
def test_nobody_is_drained_at_a_router_that_passes_subscriptions_on(
    start: Callable[[Layout], Farm], names_both: bool
) -> None:
    """Before: each drained vassal took the whole inner router out of the outer one."""
    port = free_port()
    with Router(subscription_server=f"127.0.0.1:{port}") as outer:
        app = App(vassals=3, load_seconds=0.3, unsubscribes=False)
        farm = start(Layout(apps=(app,), hook=None, instance_lines=(f"fastrouter-resubscribe = 127.0.0.1:{port}",)))
        outer.wait_nodes(1)
        both = [f"{STATS} = {farm.directory}/router.stats", f"{STATS} = {outer.stats_server}"]
        farm.add_hook("hook.ini", f"reload-hook-trigger = {farm.trigger}", *(both if names_both else []), NO_CANARY)
        farm.wait_hook()
        with Fewest(outer.nodes) as fewest, Client(farm, port=outer.http_port) as client:
            roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert fewest.counts == {1}
        assert client.failed == []
        assert "because it passes subscriptions on with its own address" in farm.log()


def test_a_second_router_in_a_vassal_of_its_own_is_found(start: Callable[[Layout], Farm]) -> None:
    """Before: only the router that the Emperor's config names was known, and the other's vassal was rolled."""
    farm = start(Layout(apps=(App(vassals=1, load_seconds=0),), hook=None))
    at = farm.directory / "second"
    router = [
        "master = true",
        f"fastrouter = {at}.sock",
        f"fastrouter-subscription-server = {at}.subscription",
        f"fastrouter-stats-server = {at}.stats",
    ]
    farm.add_vassal("router.ini", "\n".join(["[uwsgi]", *router, ""]))
    second = Router(stats_server=f"{at}.stats")
    eventually(second.answers, "the second router answers")
    second.directory.rmdir()
    text = (farm.vassals / "app-1.ini").read_text()
    for number in (2, 3, 4):
        farm.add_vassal(f"app-{number}.ini", text + also_at(f"{at}.subscription") + "\n")
    second.wait_nodes(3)
    farm.add_hook("hook.ini", f"reload-hook-trigger = {farm.trigger}", f"{MINIMUM} = 2", NO_CANARY)
    farm.wait_hook()
    with Fewest(second.nodes) as fewest:
        roll = farm.roll_now()
    assert roll["result"] == "done", roll
    assert "router.ini" not in roll["vassals"]
    assert "router.ini is left alone: it hosts a router" in farm.log()
    assert min(fewest.counts) >= 1
    assert all(one["reason"] == "serves again" for one in roll["vassals"].values()), roll
    # Without it the hook goes on with the other router.
    farm.remove_vassal("router.ini")
    assert farm.roll_now()["result"] == "done", farm.roll()


def test_the_same_port_of_another_host_at_one_router_is_not_our_vassals(start: Callable[[Layout], Farm]) -> None:
    """Before: our wildcard socket owned that port of every host, so that the other host's vassal was drained too."""
    with other_host() as inside:
        packets, port = free_port(), free_port()
        farm = start(
            Layout(apps=(App(vassals=2, load_seconds=0.2),), hook=None, subscription_server=f"{HERE}:{packets}")
        )
        text = (farm.vassals / "app-1.ini").read_text()
        own = f"socket = {farm.directory}/run/%n.sock"
        assert own in text
        ours = f"subscribe-to = {HERE}:{packets}:app.test"
        farm.remove_vassal("app-1.ini")
        wild = text.replace(own, f"socket = 0.0.0.0:{port}").replace(
            ours, f"subscribe2 = server={HERE}:{packets},key=app.test,addr={HERE}:{port}"
        )
        farm.add_vassal("wild.ini", wild)
        theirs = text.replace(own, f"socket = {THERE}:{port}")
        (farm.directory / "theirs.ini").write_text(theirs)

        def nodes() -> set[str]:
            return stats.live_nodes(farm.router()).get("app.test", set())

        with running([*inside, str(UWSGI), "--ini", f"{farm.directory}/theirs.ini"]):
            eventually(lambda: nodes() >= {f"{HERE}:{port}", f"{THERE}:{port}"}, "both at the router", 60)
            farm.add_hook("hook.ini", f"reload-hook-trigger = {farm.trigger}", NO_CANARY)
            farm.wait_hook()
            with Fewest(lambda: nodes() & {f"{THERE}:{port}"}) as fewest, Client(farm) as client:
                roll = farm.roll_now()
            assert roll["result"] == "done", roll
            assert fewest.counts == {1}
            assert client.failed == []
