from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from uwsgi_reload_hook.site.ownership import RELIST, WARNINGS, NodeMatcher
from uwsgi_reload_hook.snapshot import Node


class Host:
    """What listens on a host, whose children its processes are, and its clock."""

    def __init__(self, listening: Mapping[int, frozenset[str]] | None = None) -> None:
        self.listening = dict(listening or {})
        self.parents: dict[int, int] = {}
        self.lists = 0
        self.now = 0.0
        self.reached: dict[str, int] = {}
        self.matcher = NodeMatcher(self.list, self.parents.get, lambda: self.now, self.reached.get)

    def list(self, _kind: str) -> Mapping[int, frozenset[str]]:
        self.lists += 1
        return self.listening

    def owners(self, *addresses: str, suffix: str = ".ini", **pids: int) -> dict[str, set[str]]:
        """The addresses that each vassal is found to own; `pids` by the stems of the vassals' names."""
        nodes = [Node("r", "app", address) for address in addresses]
        found = self.matcher.match(nodes, {f"{stem}{suffix}": pid for stem, pid in pids.items()}, (suffix,))
        return {id_: {node.address for node in own} for id_, own in found.items()}


def sockets(**held: str) -> dict[int, frozenset[str]]:
    """`p1="a b"`: process 1 listens on a and b."""
    return {int(pid[1:]): frozenset(addresses.split()) for pid, addresses in held.items()}


def test_a_node_belongs_to_the_vassal_that_listens_on_it_whatever_their_names() -> None:
    host = Host(sockets(p1="/run/x.sock 0.0.0.0:80", p2="/run/app1.sock"))
    found = host.owners("/run/x.sock", "127.0.0.1:80", "/run/app1.sock", app1=1, app2=2)
    assert found == {"app1.ini": {"/run/x.sock", "127.0.0.1:80"}, "app2.ini": {"/run/app1.sock"}}


def test_a_socket_that_is_told_to_a_worker_only_is_its_masters() -> None:
    host = Host(sockets(p11="127.0.0.1:81", p12="127.0.0.1:82", p13="127.0.0.1:83"))
    host.parents.update({11: 1, 12: 2, 13: 99})
    addresses = ("127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83")
    assert host.owners(*addresses, a=1, b=2, c=0) == {"a.ini": {"127.0.0.1:81"}, "b.ini": {"127.0.0.1:82"}}


def test_a_path_that_two_vassals_have_bound_is_his_whom_a_connection_reaches() -> None:
    """Before: the one that the list told last, so that a vassal could take another one's nodes.

    Where a connection tells nothing it is nobody's, whatever a vassal that does not listen there is called.
    """
    host = Host(sockets(p1="/run/x", p2="/run/x /run/y", p3="/run/y /run/a.sock", p4="/run/a.sock"))
    host.parents[5] = 1
    host.reached.update({"/run/x": 5, "/run/y": 99})
    found = host.owners("/run/x", "/run/y", "/run/a.sock", a=1, b=2, c=3, d=4)
    assert found == {"a.ini": {"/run/x"}}
    assert host.matcher.ambiguous == {"/run/y", "/run/a.sock"}


def test_the_very_address_goes_before_a_wildcard() -> None:
    host = Host(sockets(p1="0.0.0.0:80", p2="127.0.0.1:80"))
    assert host.owners("127.0.0.1:80", a=1, b=2) == {"b.ini": {"127.0.0.1:80"}}


def test_all_nodes_of_one_address_are_given_under_every_key_and_router() -> None:
    host = Host(sockets(p1="/run/a.sock"))
    nodes = [Node("r1", "x", "/run/a.sock"), Node("r2", "x", "/run/a.sock"), Node("r1", "y", "/run/a.sock")]
    assert host.matcher.match(nodes, {"a.ini": 1}, (".ini",)) == {"a.ini": tuple(nodes)}


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("/run/app1.sock", "app1.ini"),
        ("/run/app1.socket", "app1.ini"),
        ("/run/app1", "app1.ini"),
        ("app1.sock", "app1.ini"),
        ("/run/app1.blue.sock", "app1.blue.ini"),
        ("/run/app1.red.sock", "app1.ini"),
    ],
)
def test_without_a_listener_to_be_seen_the_file_name_tells(address: str, owner: str) -> None:
    pids = {"app1.ini": 1, "app1.blue.ini": 2, "app.ini": 3}
    found = Host().matcher.match([Node("r", "app", address)], pids, (".ini",))
    assert list(found) == [owner]


@pytest.mark.parametrize(
    "address", ["/run/app10.sock", "/run/xapp1.sock", "127.0.0.1:80", "/run/.sock", "/run/app1/s", ""]
)
def test_a_name_that_only_resembles_a_vassals_is_not_taken_for_it(address: str) -> None:
    assert Host().owners(address, app1=1) == {}


def test_the_suffix_and_the_directory_of_a_vassals_id_are_no_part_of_its_name() -> None:
    nodes = [Node("r", "app", "/run/app1.sock")]
    assert list(Host().matcher.match(nodes, {"conf/app1.xml": 1}, (".xml",))) == ["conf/app1.xml"]


def test_a_vassal_that_is_down_keeps_its_node() -> None:
    host = Host(sockets(p1="/run/x.sock"))
    assert host.owners("/run/x.sock", a=1, b=2) == {"a.ini": {"/run/x.sock"}}
    host.listening = {}
    host.now += 2 * RELIST
    assert host.owners("/run/x.sock", a=0, b=3) == {"a.ini": {"/run/x.sock"}}


def test_a_socket_that_another_vassal_has_taken_over_is_its_own_once_it_has_started() -> None:
    host = Host(sockets(p1="/run/x.sock"))
    host.owners("/run/x.sock", a=1, b=2)
    host.listening = sockets(p3="/run/x.sock")
    host.now += 2 * RELIST
    assert host.owners("/run/x.sock", a=0, b=3) == {"b.ini": {"/run/x.sock"}}


def test_the_sockets_are_listed_anew_only_when_something_is_new_and_not_too_often() -> None:
    host = Host(sockets(p1="/run/a.sock"))
    for _ in range(3):
        host.owners("/run/a.sock", a=1)
        host.now += 2 * RELIST
    assert host.lists == 1
    for _ in range(3):
        host.owners("/run/a.sock", "/run/new.sock", a=1)
        host.now += RELIST / 4
    assert host.lists == 2
    host.now += RELIST
    host.owners("/run/a.sock", a=7)
    assert host.lists == 3


def test_a_node_that_was_never_sought_is_sought_at_once() -> None:
    """A look at the start of an Emperor sees no node yet, and the trigger may be touched a moment later."""
    host = Host(sockets(p1="/run/x.sock"))
    assert host.owners(a=1) == {}
    assert host.owners("/run/x.sock", a=1) == {"a.ini": {"/run/x.sock"}}


def test_a_node_left_by_a_vassal_that_was_removed_is_not_sought_at_every_look() -> None:
    host = Host(sockets(p1="/run/x.sock"))
    host.owners("/run/x.sock", a=1)
    for _ in range(3):
        host.owners("/run/x.sock", b=2)
        host.now += RELIST / 4
    assert host.lists == 1


def test_a_node_of_nobody_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(sockets(p9="/run/x.sock"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert host.owners("/run/x.sock", a=1) == {}
            host.now += 2 * RELIST
    assert caplog.messages == ["router node /run/x.sock matches no vassal of this Emperor and is not counted"]


def test_whoever_announces_any_number_of_nodes_fills_no_log_and_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(sockets(p1="/run/a.sock"))
    for look in range(3):
        host.owners("/run/a.sock", *(f"/run/{look}-{number}.sock" for number in range(WARNINGS)), a=1)
        assert len(host.matcher._sought) <= WARNINGS + 1
    *named, last = caplog.messages
    assert len(named) == WARNINGS
    assert all(line.startswith("router node /run/") for line in named)
    assert last.endswith("no further ones are named")


def test_a_node_that_is_listed_again_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    host = Host()
    for addresses in (["/run/x.sock"], [], ["/run/x.sock"]):
        host.owners(*addresses, a=1)
    assert len(caplog.messages) == 1


def test_a_node_is_not_given_to_one_of_two_vassals_of_equal_file_names(caplog: pytest.LogCaptureFixture) -> None:
    """Before: to the one that came last in a set, so that it was another one from start to start."""
    matcher = Host().matcher
    nodes = [Node("r", "app", "/run/app.sock"), Node("r", "app", "/run/other.sock")]
    pids = {"a/app.ini": 1, "b/app.ini": 2, "b/other.ini": 3}
    assert set(matcher.match(nodes, pids, (".ini",))) == {"b/other.ini"}
    assert matcher.ambiguous == {"/run/app.sock"}
    assert "router node /run/app.sock may belong to any of a/app.ini, b/app.ini" in caplog.text


def test_a_node_is_not_given_to_one_of_two_vassals_that_share_an_address() -> None:
    host = Host(sockets(p1="127.0.0.1:80 0.0.0.0:81", p2="127.0.0.1:80 [::]:81"))
    assert host.owners("127.0.0.1:80", "127.0.0.1:81", a=1, b=2) == {}
    assert host.matcher.ambiguous == {"127.0.0.1:80", "127.0.0.1:81"}


def test_the_same_port_of_another_host_is_not_ours_unless_our_config_announces_it() -> None:
    """Before: a wildcard socket owned that port of every host."""
    listening = sockets(p1="0.0.0.0:80", p2="0.0.0.0:81")
    announced = {"a.ini": {"/s:app", "192.0.2.1:80"}, "b.ini": {"/s:app"}}
    matcher = NodeMatcher(lambda _: listening, lambda _: None, lambda: 0.0, announced=announced.__getitem__)
    nodes = [Node("r", "app", address) for address in ("192.0.2.1:80", "192.0.2.9:80", "192.0.2.1:81", "127.0.0.1:81")]
    found = matcher.match(nodes, {"a.ini": 1, "b.ini": 2}, [".ini"])
    assert {id_: [node.address for node in own] for id_, own in found.items()} == {
        "a.ini": ["192.0.2.1:80"],
        "b.ini": ["127.0.0.1:81"],
    }
