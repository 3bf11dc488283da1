"""Tenants and subscribers who write what they like: the hook reads what it can, and rolls everybody."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.layout import HERE, App, Layout, environment_lines, ini
from integration.waiting import eventually
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi import packets

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

QUICK = App(vassals=2, load_seconds=0)
KEYS = [
    'a"\n"b',
    '"',
    'app.test", "x": "y',
    'x","nodes":[]}],"subscriptions":[{"key":"y',
    'x",\n\t\t\t"hash":1,\n\t\t\t"hits":1,\n\t\t\t"nodes":[\n\n\t\t\t]\n\t\t}\n\t],\n\t"subscriptions":[\n\t\t{\n\t\t\t"key":"y',
    'x{"key":"',
    "\x1b[2J\udcff\n2026-01-01 00:00:00,000 [uwsgi-reload-hook] INFO roll 1 is done",
]
NAMES = ['quote"name.ini', 'line"\n"break.ini', 'x", "x", "y.ini', "back\\slash.ini", "esc\x1b[31m.ini", "é\udcff.ini"]
TRAPS = (
    "if-exists = /nowhere/at/all",
    *["ini = %d%s"] * 6,
    "ini = %d../fifo",
    "ini = /dev/zero",
    "ini = %d../long",
    "v0 = xx",
    *(f"v{number + 1} = %(v{number})%(v{number})" for number in range(30)),
    "endif = true",
)
PEAK = 150
"""MiB that a hook has at most: 36 with 1,000 vassals, and some for a config of the longest length."""


def subscribe(farm: Farm, node: Node) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(farm.subscription_server)
        connection.send(packets.subscribe(node))


@pytest.mark.parametrize("lines", [(), ("stats-minified = true",)], ids=["lines", "stats-minified"])
def test_no_key_or_address_of_a_subscriber_stops_a_roll(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    farm = start(Layout(apps=(QUICK,), instance_lines=lines))
    for key in KEYS:
        subscribe(farm, Node("", key, f"/nowhere/{len(key)}"))
        subscribe(farm, Node("", "others", f"/nowhere/{key}"))
    eventually(lambda: "new node: /nowhere/\x1b[2J" in farm.log(), "the last of them at the router")
    roll = farm.roll_now()
    assert {id_: one["phase"] for id_, one in roll["vassals"].items()} == dict.fromkeys(QUICK.ids, "done")
    assert [one["keys"] for one in roll["vassals"].values()] == [["app.test"]] * 2
    said = [line for line in farm.log().splitlines() if "[uwsgi-reload-hook]" in line and "\\x1b[2J" in line]
    assert said
    assert all(line.isprintable() for line in said)
    assert "were read without the entries that a subscriber has made unreadable" in farm.log()


def test_vassals_of_any_name_that_the_emperor_takes_are_rolled(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    config = ini(
        [
            "master = true",
            "processes = 1",
            "need-app = true",
            f"wsgi-file = {HERE}/wsgi_app.py",
            f"env = APP_DIRECTORY={farm.directory}/app",
            "env = VASSAL=odd",
            "socket = 127.0.0.1:0",
            f"subscribe-to = {farm.subscription_server}:odd.test",
            *environment_lines(),
        ]
    )
    for name in NAMES:
        farm.add_vassal(name, config)
    eventually(lambda: farm.log().count("odd.test => new node") >= len(NAMES), "all of them at the router")
    roll = farm.roll_now()
    assert (roll["result"], roll["reason"]) == ("done", "")
    assert roll["vassals"].keys() == {*QUICK.ids, *NAMES}
    assert {one["phase"] for one in roll["vassals"].values()} == {"done"}
    assert {tuple(roll["vassals"][name]["keys"]) for name in NAMES} == {("odd.test",)}


def peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def test_a_config_of_traps_that_uwsgi_does_not_see_is_rolled_like_any_other(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0, lines=TRAPS),), symlinks=False))
    os.mkfifo(farm.directory / "fifo")
    (farm.directory / "long").touch()
    os.truncate(farm.directory / "long", 1 << 40)
    roll = farm.roll_now()
    assert {one["phase"] for one in roll["vassals"].values()} == {"done"}
    assert peak_mib(farm.status()["hook"]["pid"]) < PEAK
