"""What a look shows of a vassal: why it is left alone, and whose a node may be."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.rolling import settings
from tests.support.servers import answers, serves
from tests.uwsgi.test_stats import EMPEROR, NODE, ROUTER, VASSAL, written
from uwsgi_reload_hook.site.discovery import Endpoints, Router
from uwsgi_reload_hook.site.observer import WARNINGS, Observer, _exclusion, _may_be_ours
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Vassal
from uwsgi_reload_hook.uwsgi.stats import VassalStats

ASLEEP = "it sleeps on demand: whatever connects to it next starts it with the new code"
FROM_ZMQ = "its config comes from zmq://tcp://127.0.0.1:5000, and is no file that a touch could reload"
PLAIN = VassalStats("a.ini", 10, 0, 0, True, 0, False, False, "", "/etc/uwsgi/vassals")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (PLAIN, ""),
        (replace(PLAIN, pid=7), "the hook's own vassal"),
        (replace(PLAIN, pid=8), "it hosts a router"),
        (replace(PLAIN, zerg=True), "a zerg vassal"),
        (replace(PLAIN, id="a.ini:zerg"), "a zerg vassal"),
        (replace(PLAIN, on_demand="/run/a.sock"), ""),
        (replace(PLAIN, pid=-1, on_demand="/run/a.sock"), ASLEEP),
        (replace(PLAIN, monitor="zmq://tcp://127.0.0.1:5000"), FROM_ZMQ),
    ],
)
def test_what_is_never_rolled_is_set_aside_with_its_reason(entry: VassalStats, why: str) -> None:
    assert _exclusion(entry, 7, {8, None}) == why


def test_unreadable_subscriptions_are_logged_once_each_and_within_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    endpoints = Endpoints(StatsSocket("emperor.stats"), 1, ())
    observer = Observer(0, endpoints, KnownVassals(1, settings()), None)
    with caplog.at_level(logging.WARNING):
        for number in range(300):
            observer._warn("/run/router.stats", "")
            observer._warn("/run/router.stats", f"1 entries, such as '{number // 2}'")
    assert len(caplog.messages) == WARNINGS
    assert caplog.messages[0].startswith(
        "the stats at /run/router.stats were read without the entries that a subscriber"
    )


def test_a_node_of_nobody_is_no_vassals_if_the_sockets_of_nodeless_ones_are_seen() -> None:
    ours = Vassal("a.ini", pid=os.getpid(), accepting=True)
    addresses = {"/nowhere/1", "@name", "127.0.0.1:9", "[::1]:9", "192.0.2.1:9", "app.test:9"}
    assert set(_may_be_ours(addresses, [ours])) == {"192.0.2.1:9", "app.test:9"}
    hidden = Vassal("b.ini", pid=2**22 + 1, accepting=True)
    assert set(_may_be_ours(addresses, [ours, hidden])) == addresses
    nowhere = Vassal("c.ini", pid=2**22 + 1, accepting=True, may_subscribe=False)
    assert set(_may_be_ours(addresses, [ours, nowhere])) == {"192.0.2.1:9", "app.test:9"}


def test_a_look_joins_the_vassals_with_their_nodes_and_inspects_those_chosen(tmp_path: Path) -> None:
    vassals = [
        {**VASSAL, "id": name, "pid": pid, "monitor": str(tmp_path)} for name, pid in (("a.ini", 0), ("b.ini", -1))
    ]
    emperor_stats = {**EMPEROR, "vassals": vassals}
    node = {**NODE, "name": "/run/a.sock"}
    router_stats = {
        **ROUTER,
        "pid": os.getpid(),
        "subscriptions": [{"key": "app", "hash": 5, "hits": 0, "nodes": [node]}],
    }
    (tmp_path / "a.ini").write_text("[uwsgi]\n")
    emperor, router = StatsSocket(str(tmp_path / "emperor")), StatsSocket(str(tmp_path / "router"))
    endpoints = Endpoints(emperor, 1, (Router(router, "/run/subscriptions"),))
    observer = Observer(0, endpoints, KnownVassals(1, settings()), None)
    with (
        serves(tmp_path / "emperor", answers(written(emperor_stats))),
        serves(tmp_path / "router", answers(written(router_stats))),
    ):
        snapshot = observer.look(["gone.ini"], lambda vassals: [id_ for id_ in vassals if vassals[id_].config_exists])
    assert list(snapshot.vassals) == ["a.ini", "app2.ini", "b.ini", "gone.ini"]
    assert [vassal.present for vassal in snapshot.vassals.values()] == [True, False, True, False]
    assert [vassal.details is not None for vassal in snapshot.vassals.values()] == [True, False, False, False]
    assert [own.address for own in snapshot.vassals["a.ini"].nodes] == ["/run/a.sock"]
    assert snapshot.vassals["app2.ini"].blacklisted is not None
    assert (snapshot.emperor_pid, snapshot.routers) == (EMPEROR["pid"], {str(tmp_path / "router"): os.getpid()})
