from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.strangers import STRANGER, waiting_stranger
from uwsgi_reload_hook.site.peers import Peer, datagram_user, is_listener, listener, port_users

DATAGRAMS = """
unix, udp = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
unix.bind("\\0" + sys.argv[1])
udp.bind(("127.0.0.1", int(sys.argv[2])))
"""


def test_who_listens_at_a_path_or_a_name_is_told(tmp_path: Path) -> None:
    for address in (str(tmp_path / "socket"), f"@uwsgi-reload-hook-{os.getpid()}"):
        assert listener(address) is None
        with socket.socket(socket.AF_UNIX) as ours:
            ours.bind(address.replace("@", "\0"))
            ours.listen()
            assert listener(address) == Peer(os.getpid(), os.geteuid())
        assert listener(address) is None


def test_whose_a_datagram_socket_is_is_told(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    (tmp_path / "link").symlink_to(path)
    assert datagram_user(str(path)) is None
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream,
    ):
        ours.bind(str(path))
        stream.bind(f"{path}.stream")
        assert datagram_user(str(path)) == os.geteuid()
        assert datagram_user(str(tmp_path / "link")) == os.geteuid()
        assert datagram_user(f"{path}.stream") is None
        assert datagram_user(f"@{path}") is None


def test_whose_a_udp_port_is_is_told() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.create_server(("127.0.0.1", 0)) as tcp:
        udp.bind(("127.0.0.1", 0))
        at, other = (f"127.0.0.1:{one.getsockname()[1]}" for one in (udp, tcp))
        assert port_users(at, "udp") == {os.geteuid()}
        if at != other:
            assert port_users(other, "udp") == frozenset()
    assert port_users(at, "udp") == frozenset()


def test_the_datagram_sockets_of_another_user_are_told_as_his() -> None:
    name = f"uwsgi-reload-hook-{os.getpid()}"
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    with waiting_stranger(DATAGRAMS, name, str(port)):
        assert datagram_user(f"@{name}") == STRANGER
        assert port_users(f"127.0.0.1:{port}", "udp") == {STRANGER}


TCP = """
listener = socket.socket()
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
"""


def test_a_tcp_port_counts_by_the_user_who_made_its_socket() -> None:
    """Before: whoever listened at a TCP port was taken for a trusted user."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        with waiting_stranger(TCP, "127.0.0.2", str(port)):
            trusted = {host: is_listener(f"{host}:{port}", {os.geteuid()}) for host in HOSTS}
    assert trusted == HOSTS
    assert not is_listener(f"127.0.0.1:{port}", {os.geteuid()})


HOSTS = {"127.0.0.1": True, "localhost": True, "127.0.0.2": False, "0.0.0.0": False}  # noqa: S104 - compared, not bound


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_who_listens_on_all_hosts_listens_on_each(host: str) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as ours:
        at = f"{host}:{ours.getsockname()[1]}"
        assert is_listener(at, {os.geteuid()})
        assert not is_listener(at, {STRANGER})
        assert not is_listener(at.replace(host, "name.test"), {os.geteuid()})
