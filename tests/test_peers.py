from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.strangers import STRANGER, waiting_stranger
from uwsgi_reload_hook.site.peers import Peer, datagram_user, listener, udp_users

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
        port = udp.getsockname()[1]
        assert udp_users()[port] == {os.geteuid()}
        if port != tcp.getsockname()[1]:
            assert tcp.getsockname()[1] not in udp_users()
    assert port not in udp_users()


def test_the_datagram_sockets_of_another_user_are_told_as_his() -> None:
    name = f"uwsgi-reload-hook-{os.getpid()}"
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    with waiting_stranger(DATAGRAMS, name, str(port)):
        assert datagram_user(f"@{name}") == STRANGER
        assert udp_users()[port] == {STRANGER}
