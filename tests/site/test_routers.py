from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.children import python, waits
from tests.support.strangers import READY, STRANGER, waiting_stranger
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site.routers import gateway_sockets, subscription_server
from uwsgi_reload_hook.uwsgi.stats import EmperorStats, RouterStats

TRUSTED = frozenset({0, os.geteuid()})
LISTEN = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
listener.bind(sys.argv[1])
listener.listen()
"""
BIND = """
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", int(sys.argv[1])))
"""


@contextlib.contextmanager
def gateway(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of this user that listens at a path."""
    with python("-c", LISTEN + READY, str(path)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child


@contextlib.contextmanager
def emperor() -> Iterator[EmperorStats]:
    """An Emperor whose siblings are the other children of this test."""
    with waits() as child:
        yield EmperorStats(child.pid, "/", (), (), {})


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory in which a path may become somebody else's; pytest's own are closed to other users."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_process_of_another_user_is_passed_over_and_named(shared: Path) -> None:
    with (
        emperor() as told,
        gateway(shared / "router.stats"),
        waiting_stranger(LISTEN, str(shared / "tenant")) as tenant,
    ):
        held, passed_over = gateway_sockets(told, TRUSTED)
    assert held == [str(shared / "router.stats")]
    (line,) = passed_over
    assert line.startswith(f"pid {tenant.pid} of user nobody, which listens on {shared}/tenant, was passed over")


def test_a_path_that_has_become_somebody_elses_is_no_routers(shared: Path) -> None:
    path = shared / "router.stats"
    with emperor() as told, gateway(path):
        assert gateway_sockets(told, TRUSTED)[0] == [str(path)]
        with waiting_stranger(LISTEN, str(path)):
            assert gateway_sockets(told, TRUSTED)[0] == []


def free_udp() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port: int = udp.getsockname()[1]
        return port


def test_a_udp_port_of_another_user_beside_the_routers_tcp_port_gets_no_packet() -> None:
    port = free_udp()
    with waiting_stranger(BIND, str(port)), socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        true = f"127.0.0.1:{ours.getsockname()[1]}"
        told = RouterStats(os.getpid(), "/", (f"127.0.0.1:{port}", true), ())
        assert subscription_server(told, "router.stats", TRUSTED) == true
        alone = RouterStats(os.getpid(), "/", (f"127.0.0.1:{port}",), ())
        with pytest.raises(UnavailableError, match=re.escape("reload-hook-subscription-server")):
            subscription_server(alone, "router.stats", TRUSTED)


def test_a_router_of_another_user_that_is_named_takes_subscriptions_of_his() -> None:
    port = free_udp()
    with waiting_stranger(BIND, str(port)) as router:
        told = RouterStats(router.pid, "/", (f"127.0.0.1:{port}",), ())
        assert subscription_server(told, "router.stats", TRUSTED, named=True) == f"127.0.0.1:{port}"


def test_the_pid_of_an_answer_counts_if_that_process_gives_the_answer(shared: Path) -> None:
    """Before: an answer could name any process, and thereby the user whose sockets were trusted."""
    port, shared_by_all = free_udp(), str(shared / "stats")
    with waiting_stranger(LISTEN + BIND.replace("argv[1]", "argv[2]"), shared_by_all, str(port)) as router:
        told = RouterStats(router.pid, "/", (f"127.0.0.1:{port}",), ())
        assert subscription_server(told, shared_by_all, TRUSTED) == f"127.0.0.1:{port}"
        with gateway(shared / "ours"), pytest.raises(UnavailableError, match="subscription-server"):
            subscription_server(told, str(shared / "ours"), TRUSTED)


def test_a_udp_port_that_a_tenant_shares_with_the_router_gets_no_packet() -> None:
    shares = "socket.SOL_SOCKET, socket.SO_REUSEADDR, 1"
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        told = RouterStats(os.getpid(), "/", (f"127.0.0.1:{port}",), ())
        assert subscription_server(told, "router.stats", TRUSTED) == f"127.0.0.1:{port}"
        script = BIND.replace("udp.bind", f"udp.setsockopt({shares})\nudp.bind")
        with waiting_stranger(script, str(port)), pytest.raises(UnavailableError, match="subscription-server"):
            subscription_server(told, "router.stats", TRUSTED)


def test_a_path_of_another_users_datagram_socket_gets_no_packet(shared: Path) -> None:
    script = "os.umask(0)\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\n"
    with waiting_stranger(script, str(shared / "a")), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(shared / "b"))
        told = RouterStats(os.getpid(), str(shared), ("a", "b"), ())
        assert subscription_server(told, "router.stats", TRUSTED) == str(shared / "b")


def test_a_process_with_the_rights_of_another_user_than_its_starter_is_no_router(shared: Path) -> None:
    """Before: `su`, which waits for a password with root's rights, made a socket that it had inherited a router's."""
    script = f"import os\nos.setresuid({STRANGER}, 0, 0)\n" + LISTEN + READY
    with emperor() as told, python("-c", script, str(shared / "stats")) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert gateway_sockets(told, TRUSTED)[0] == []
