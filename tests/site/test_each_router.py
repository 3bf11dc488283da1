"""What is known of each router by itself."""

from __future__ import annotations

import os
import socket
import time

import pytest

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site.announcing_habit import Habit, habit_of
from uwsgi_reload_hook.site.router_clock import RouterClock
from uwsgi_reload_hook.site.router_discovery import Router
from uwsgi_reload_hook.site.router_options import RouterOptions, judged, options_of
from uwsgi_reload_hook.site.router_reader import RouterReader, not_of_another_host
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.site.subscription_servers import by_option, host_of, is_of_its_host, remote_server
from uwsgi_reload_hook.snapshot import Node
from uwsgi_reload_hook.uwsgi.options import Given, Options
from uwsgi_reload_hook.uwsgi.stats import RouterStats

ELSEWHERE = "192.0.2.7"
"""An address of no host (RFC 5737)."""


def told(*sockets: str, pid: int = 0, nodes: tuple[Node, ...] = ()) -> RouterStats:
    return RouterStats(pid, "/srv", sockets, nodes)


def announced(second: int) -> list[Node]:
    return [Node("far", "app", "/a", last_check=second)]


def test_the_clock_of_another_host_is_never_taken_for_later_than_it_is() -> None:
    clock = RouterClock()
    assert clock.now(announced(500), monotonic=10.0) == 500
    assert clock.now(announced(500), monotonic=14.0) == 504
    assert clock.now(announced(503), monotonic=15.0) == 505
    assert clock.now(announced(520), monotonic=16.0) == 520
    assert clock.now([], monotonic=18.5) == 522.5


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("/run/router.stats", ""),
        ("@router", ""),
        (":1717", ""),
        ("127.0.0.1:1717", ""),
        ("localhost:1717", ""),
        ("[::1]:1717", ""),
        (f"{ELSEWHERE}:1717", ELSEWHERE),
        ("nowhere.invalid:1717", "nowhere.invalid"),
    ],
)
def test_a_router_is_on_the_host_that_its_stats_come_from(address: str, host: str) -> None:
    assert host_of(address) == host


def test_a_path_or_a_loopback_at_a_router_elsewhere_is_no_vassal_of_this_host() -> None:
    addresses = ["/run/a.sock", "@a", "127.0.0.1:1", "[::1]:1", ":1", "0.0.0.0:1", "192.0.2.1:1", "app.test:1"]
    nodes = [Node("far", "app", address) for address in addresses]
    kept = not_of_another_host(Router(StatsSocket("far:1"), "far:2", ELSEWHERE), nodes)
    assert [node.address for node in kept] == ["192.0.2.1:1", "app.test:1"]
    assert not_of_another_host(Router(StatsSocket("/near"), "/sub"), nodes) == nodes
    assert is_of_its_host("localhost:1")
    assert not is_of_its_host("192.0.2.1:no")


def test_a_named_server_is_that_of_the_router_that_lists_it_whatever_the_order() -> None:
    routers = [("/east", told("/srv/x", "sub")), (f"{ELSEWHERE}:1", told("0.0.0.0:3031", ":3032"))]
    assert by_option([f"{ELSEWHERE}:3032", "/srv/sub"], routers) == {
        "/east": "/srv/sub",
        f"{ELSEWHERE}:1": f"{ELSEWHERE}:3032",
    }
    assert by_option(["/srv/sub"], routers) == {"/east": "/srv/sub"}


def test_named_servers_that_no_router_lists_are_taken_in_order_or_refused() -> None:
    routers = [("/east", told("a")), ("/west", told("b"))]
    assert by_option(["192.0.2.1:1", "192.0.2.1:2"], routers) == {"/east": "192.0.2.1:1", "/west": "192.0.2.1:2"}
    assert by_option(["/srv/b", "192.0.2.1:1"], routers) == {"/west": "/srv/b", "/east": "192.0.2.1:1"}
    assert by_option([], routers) == {}
    with pytest.raises(UnavailableError, match="one for each reload-hook-fastrouter-stats-socket"):
        by_option(["192.0.2.1:1"], routers)


def test_of_a_router_elsewhere_the_port_that_takes_datagrams_is_found() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (tcp, udp)]
        answer = told(f"0.0.0.0:{ports[0]}", f":{ports[1]}", "/run/path.sock", "127.0.0.1:9")
        assert remote_server(answer, "far:1", "127.0.0.1") == f"127.0.0.1:{ports[1]}"
        with pytest.raises(UnavailableError, match="was not found; set reload-hook-subscription-server"):
            remote_server(told(f"0.0.0.0:{ports[0]}"), "far:1", "127.0.0.1")


STATS = {"fastrouter-stats": "/s"}


def given(options: dict[str, str], gap: str = "") -> Options:
    return Options([Given(name, value, certain=True, final=True) for name, value in options.items()], gap)


@pytest.mark.parametrize(
    ("options", "gap", "expected"),
    [
        (STATS, "", RouterOptions(17.0, resubscribes=False)),
        ({**STATS, "subscription-tolerance": "60"}, "", RouterOptions(60.0, resubscribes=False)),
        ({**STATS, "subscription-tolerance": "soon"}, "", RouterOptions(None, resubscribes=False)),
        ({"http-stats-server": "/s", "http-resubscribe": "/o"}, "", RouterOptions(17.0, resubscribes=True)),
        (STATS, "a file is missing", RouterOptions()),
        ({**STATS, "fastrouter-resubscribe": "/o"}, "a file is missing", RouterOptions(None, resubscribes=True)),
        ({"socket": "/s"}, "", RouterOptions()),
    ],
)
def test_the_options_of_a_router_are_known_or_known_not_to_be(
    options: dict[str, str], gap: str, expected: RouterOptions
) -> None:
    assert judged(given(options, gap), current=True) == expected
    assert judged(given(options, gap), current=False).tolerance is None


def test_of_a_process_that_cannot_be_read_no_option_is_known() -> None:
    assert options_of(2**22 + 1) == RouterOptions()
    assert options_of(os.getpid()) == RouterOptions()


def test_a_router_whose_own_address_stands_at_another_passes_packets_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner, outer = Router(StatsSocket("/inner"), "/i"), Router(StatsSocket("/outer"), "/o")
    node = Node("/outer", "app", "/srv/router.sock", last_check=int(time.time()))
    answers = [(inner, told("router.sock", "sub")), (outer, told("/o.sock", nodes=(node,)))]
    reader = RouterReader([inner, outer])
    for router, answer in answers:
        reader._know(router, answer)
    assert reader.resubscribing(answers) == {"/inner"}
    assert reader.resubscribing(answers) == {"/inner"}
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, Habit(None, 12.0)),
        ({}, Habit(True, 12.0)),
        ({"start-unsubscribed": "true"}, Habit(False, 12.0)),
        ({"start-unsubscribed": "false", "subscribe-freq": "30"}, Habit(True, 36.0)),
        ({"start-unsubscribed": "1", "hook-accepting1-once": "writefifo:/f S"}, Habit(False, 12.0)),
        ({"start-unsubscribed": "1", "hook-accepting1-once": "spinningfifo:/f S"}, Habit(True, 12.0)),
        ({"start-unsubscribed": "1", "hook-post-app": "spinningfifo:/f P"}, Habit(False, 12.0)),
    ],
)
def test_a_vassal_announces_itself_unless_it_waits_for_an_order_that_may_be_lost(
    options: dict[str, str] | None, expected: Habit
) -> None:
    assert habit_of(given(options or {}, "unreadable" if options is None else "")) == expected
