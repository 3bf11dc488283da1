"""Somebody who may write to the subscription socket names the vassals' sockets under keys of his own."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.client import Client
from integration.commands import Command, sockets
from integration.layout import App, Layout
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.farm import Farm

APP = App(vassals=3, load_seconds=0.2)


def announce(farm: Farm, key: str, address: str) -> None:
    """A subscribe packet as any process of the host can send it (core/subscription.c)."""
    fields = {"key": key, "address": address, "modifier1": "0", "cores": "1", "load": "0", "weight": "1"}
    words = [word.encode() for pair in fields.items() for word in pair]
    body = b"".join(struct.pack("<H", len(word)) + word for word in words)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(struct.pack("<BHB", 224, len(body), 0) + body, farm.subscription_server)
    eventually(lambda: key in stats.live_nodes(farm.router()), f"the router lists {key}")


def socket_of(farm: Farm, vassal: str) -> str:
    return f"{farm.directory}/run/{vassal}.sock"


@pytest.mark.parametrize("home", ["mule", "shell"])
def test_a_foreign_key_refuses_nothing_and_is_not_waited_for(start: Callable[[Layout], Farm], home: str) -> None:
    farm = start(Layout(apps=(APP,), home=home))
    announce(farm, "evil", socket_of(farm, "app-1"))
    announce(farm, "worse:80", socket_of(farm, "app-1"))
    announce(farm, "worse:80", socket_of(farm, "app-2"))
    with Watcher(farm) as watcher, Client(farm) as client:
        roll = farm.roll_now()
    assert (roll["result"], roll["minimum"]) == ("done", {"app.test": 1}), roll
    assert {one["phase"] for one in roll["vassals"].values()} == {"done"}
    assert {tuple(one["keys"]) for one in roll["vassals"].values()} == {("app.test",)}
    assert client.failed == []
    assert watcher.sighting.minimum() >= 1
    if home == "mule":
        why = "under key 'evil', which its config does not name: it counts for no minimum"
        assert farm.log().count(f"lists app-1.ini {why}") == 1


def test_a_foreign_key_lends_no_vassal_to_a_key_of_others(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(APP, App(key="blog.test", vassals=1)), hook=None))
    announce(farm, "blog.test", socket_of(farm, "app-1"))
    command = Command("reload", *sockets(farm.directory))
    try:
        assert command.wait() == 5
    finally:
        command.end()
    assert "key blog.test has 1 vassal and the minimum is 1" in command.said
    assert "router" in command.said
    assert "lists app-1.ini under key 'blog.test', which its config does not name" in command.said


def test_where_the_configs_may_name_more_every_key_is_taken_for_their_own(start: Callable[[Layout], Farm]) -> None:
    lines = ("declare-option = announce=subscribe2=$1",)
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0, lines=lines),), hook=None))
    announce(farm, "more", socket_of(farm, "app-1"))
    command = Command("reload", *sockets(farm.directory))
    try:
        assert command.wait() == 5
    finally:
        command.end()
    assert "key more has 1 vassal and the minimum is 1" in command.said


def test_conditions_loops_and_an_include_that_can_be_read_hide_no_foreign_key(
    start: Callable[[Layout], Farm], tmp_path: Path
) -> None:
    common = tmp_path / "common.ini"
    common.write_text("[uwsgi]\nenv = COMMON=1\n")
    loop = ("for = a b", "env = LOOP=%(_)", "endfor =", "if-exists = /nowhere", "env = IS=NOWHERE", "endif =")
    lines = ("if-env = HOME", "env = HAS=HOME", "endif =", f"include = {common}", *loop)
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0, lines=lines),)))
    announce(farm, "evil", socket_of(farm, "app-1"))
    roll = farm.roll_now()
    assert (roll["result"], roll["minimum"]) == ("done", {"app.test": 1}), roll
