"""What the world decides by itself: which vassals it sets aside, and which addresses it announces to no router."""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.children import waits
from tests.support.rolling import settings
from tests.support.servers import answers, listens, serves
from tests.support.strangers import STRANGER, waiting_stranger
from uwsgi_reload_hook.planning.actions import Subscribe
from uwsgi_reload_hook.site.discovery import Endpoints, Home, Router
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.site import SAID, UwsgiSite
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.snapshot import Node, Vassal
from uwsgi_reload_hook.uwsgi import packets
from uwsgi_reload_hook.uwsgi.stats import VassalStats

PLAIN = VassalStats("a.ini", 10, 0, 0, True, 0, False, False, "", "/etc/uwsgi/vassals")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (PLAIN, ""),
        (replace(PLAIN, pid=7), "the hook's own vassal"),
        (replace(PLAIN, pid=8), "it hosts a router"),
        (replace(PLAIN, zerg=True), "a zerg vassal"),
        (replace(PLAIN, id="a.ini:zerg"), "a zerg vassal"),
        (replace(PLAIN, on_demand="/run/a.sock"), "an on-demand vassal"),
        (replace(PLAIN, pid=-1, on_demand="/run/a.sock"), "an on-demand vassal"),
    ],
)
def test_what_is_never_rolled_is_set_aside_with_its_reason(entry: VassalStats, why: str) -> None:
    world = UwsgiSite(settings(), Home("mule", emperor_pid=1, own_pid=7))
    assert world._why_aside(entry, {8, None}) == why


@pytest.mark.parametrize("known", [True, False])
def test_of_a_hook_of_another_user_its_config_alone_tells_the_options(tmp_path: Path, *, known: bool) -> None:
    config = tmp_path / "hook.ini"
    config.write_text(f"[uwsgi]\n{'reload-hook-trigger = /run/trigger' if known else ''}\n")
    config.chmod(0o644)
    with waiting_stranger("", "--trigger", "/etc/shadow", "--state-directory=/tmp") as hook:
        none = dict.fromkeys(("last_mod", "last_run", "accepting", "respawns", "cursed", "zerg"), 0)
        vassal = {**none, "pid": hook.pid, "id": "hook.ini", "on_demand": "", "monitor": str(tmp_path)}
        told = {"pid": os.getpid(), "cwd": "/", "emperor": [str(tmp_path)], "vassals": [vassal], "blacklist": []}
        world = UwsgiSite(settings(), Home("shell"))
        world._around = Endpoints(StatsSocket(str(tmp_path / "emperor.stats")), os.getpid(), (), 17.0)
        world._emperor_pid = os.getpid()
        with serves(tmp_path / "emperor.stats", answers(json.dumps(told))):
            assert world.hook_options(Peer(hook.pid, STRANGER)) == ({"trigger": ["/run/trigger"]} if known else {}, "/")


def announced(tmp_path: Path, router: str, address: Path, *, pid: int) -> list[bytes]:
    """The packets that reach the router when `a.ini`, whose master is `pid`, is announced with an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as subscriptions:
        subscriptions.bind(str(tmp_path / "subscriptions"))
        subscriptions.setblocking(False)
        world = UwsgiSite(settings(), Home("shell"))
        known = Router(StatsSocket("router.stats"), str(tmp_path / "subscriptions"))
        world._around = Endpoints(StatsSocket("emperor.stats"), 1, (known,), 17.0)
        world._pids = {"a.ini": pid, "b.ini": 0}
        world.perform(Subscribe("a.ini", (Node(router, "app", str(address)),)))
        try:
            return [subscriptions.recv(4096)]
        except BlockingIOError:
            return []


def test_a_vassal_is_announced_where_it_listens(tmp_path: Path) -> None:
    with listens(tmp_path / "socket"):
        packet = packets.subscribe(Node("router.stats", "app", str(tmp_path / "socket")))
        assert announced(tmp_path, "router.stats", tmp_path / "socket", pid=os.getpid()) == [packet]


@pytest.mark.parametrize("name", ["socket", "b.sock"])
def test_an_address_where_somebody_else_listens_by_now_is_not_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with listens(tmp_path / name), waits() as other, caplog.at_level(logging.WARNING):
        assert announced(tmp_path, "router.stats", tmp_path / name, pid=other.pid) == []
    assert f"a.ini: not subscribed with {tmp_path / name}" in caplog.text


def test_an_address_where_nobody_listens_is_not_announced(tmp_path: Path) -> None:
    assert announced(tmp_path, "router.stats", tmp_path / "a.sock", pid=os.getpid()) == []


def test_a_router_that_a_journal_names_and_the_options_do_not_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listens(tmp_path / "socket"), caplog.at_level(logging.WARNING):
        assert announced(tmp_path, "old.stats", tmp_path / "socket", pid=os.getpid()) == []
    assert "a.ini: not subscribed at old.stats" in caplog.text


def test_what_a_subscriber_has_spoiled_is_said_once_and_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    world = UwsgiSite(settings(), Home("shell"))
    with caplog.at_level(logging.WARNING):
        for number in range(300):
            world._note_left_out("/run/router.stats", "")
            world._note_left_out("/run/router.stats", f"1 entries, such as '{number // 2}'")
    assert len(caplog.messages) == SAID
    assert caplog.messages[0].startswith("the stats at /run/router.stats have been read without what a subscriber")


def test_a_node_of_nobody_may_be_a_vassals_only_where_its_sockets_cannot_be_seen() -> None:
    ours = Vassal("a.ini", pid=os.getpid(), accepting=True)
    addresses = {"/nowhere/1", "@name", "127.0.0.1:9", "[::1]:9", "192.0.2.1:9", "app.test:9"}
    assert set(UwsgiSite._may_be_ours(addresses, [ours])) == {"192.0.2.1:9", "app.test:9"}
    hidden = Vassal("b.ini", pid=2**22 + 1, accepting=True)
    assert set(UwsgiSite._may_be_ours(addresses, [ours, hidden])) == addresses
    nowhere = Vassal("c.ini", pid=2**22 + 1, accepting=True, may_subscribe=False)
    assert set(UwsgiSite._may_be_ours(addresses, [ours, nowhere])) == {"192.0.2.1:9", "app.test:9"}
