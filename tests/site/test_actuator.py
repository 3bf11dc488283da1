from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from tests.support.children import waits
from tests.support.rolling import settings
from tests.support.servers import listens
from uwsgi_reload_hook.planning.actions import SendProbe, Subscribe
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.site.actuator import Actuator
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi import packets


def asked(directory: Path, pid: int, line: str, *nodes: Node) -> str:
    """What comes at once of a probe of a vassal whose config has that line; empty = it is asked."""
    config = directory / "app.ini"
    config.write_text(f"[uwsgi]\n{line}\n")
    prober = Prober(Probe("/"), 10.0)
    vassals = KnownVassals(1, settings())
    vassals.pids, vassals.paths = {"app.ini": pid}, {"app.ini": str(config)}
    Actuator(vassals, {}, prober).perform(SendProbe("app.ini", nodes))
    try:
        return "".join(result.words for result in prober.results().values())
    finally:
        prober.close()


@pytest.mark.parametrize("option", ["socket", "uwsgi-socket", "http-socket"])
def test_a_socket_that_a_vassals_config_names_is_asked_if_it_listens_there(tmp_path: Path, option: str) -> None:
    line = f"{option} = {tmp_path}//app.sock"
    with listens(tmp_path / "app.sock"), waits() as other:
        assert asked(tmp_path, os.getpid(), line) == ""
        assert asked(tmp_path, other.pid, line).startswith("GET / with Host localhost is not sent, because no socket")


def test_a_node_that_is_its_own_is_asked(tmp_path: Path) -> None:
    with listens(tmp_path / "app.sock"), waits() as other:
        assert asked(tmp_path, other.pid, "", Node("r", "app", str(tmp_path / "app.sock"))) == ""


def announced(tmp_path: Path, router: str, address: Path, *, pid: int) -> list[bytes]:
    """The packets that reach the router when `a.ini`, whose master is `pid`, is announced with an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as subscriptions:
        subscriptions.bind(str(tmp_path / "subscriptions"))
        subscriptions.setblocking(False)
        vassals = KnownVassals(1, settings())
        vassals.pids = {"a.ini": pid, "b.ini": 0}
        Actuator(vassals, {"router.stats": str(tmp_path / "subscriptions")}, None).perform(
            Subscribe("a.ini", (Node(router, "app", str(address)),))
        )
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
