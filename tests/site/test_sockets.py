from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.support.servers import PATIENCE, Handler, answers, listens, serves
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site import sockets
from uwsgi_reload_hook.site.sockets import (
    StatsSocket,
    accepts,
    is_datagram_path,
    open_stream,
    resolve,
    same_socket,
    send,
)

ANSWER = '{"pid":1}'
HTTP = f"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n{ANSWER}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def wait_for_a_question(connection: socket.socket) -> None:
    """Until there is something to read, which is left unread."""
    assert select.select([connection], [], [], PATIENCE)[0]


def http_only(connection: socket.socket) -> None:
    """Wait for a request before answering, as uWSGI does with `stats-http`."""
    assert connection.recv(4096).startswith(b"GET ")
    connection.sendall(HTTP.encode())


def in_pieces(connection: socket.socket) -> None:
    for byte in ANSWER.encode():
        connection.sendall(bytes([byte]))


def slow(connection: socket.socket) -> None:
    """Answer later than the reader likes, and close without having read its question: the reader gets a reset."""
    wait_for_a_question(connection)
    connection.sendall(ANSWER.encode())


def slow_and_deaf(connection: socket.socket) -> None:
    """The same, on a connection that takes no question at all."""
    connection.shutdown(socket.SHUT_RD)
    threading.Event().wait(2 * sockets.UNASKED)
    connection.sendall(ANSWER.encode())


@pytest.mark.parametrize("handler", [answers(ANSWER), answers(HTTP), http_only, in_pieces, slow, slow_and_deaf])
def test_a_stats_socket_is_read_to_the_end_of_its_answer(path: Path, handler: Handler) -> None:
    with serves(path, handler):
        assert StatsSocket(str(path)).read() == {"pid": 1}


def test_a_large_answer_is_read_whole(path: Path) -> None:
    text = '{"a":"' + "x" * (2 * sockets.CHUNK) + '"}'
    with serves(path, answers(text)):
        assert len(StatsSocket(str(path)).read()["a"]) == 2 * sockets.CHUNK


def test_each_read_is_a_new_one(path: Path) -> None:
    with serves(path, answers('{"pid":1}'), answers('{"pid":2}')):
        stats = StatsSocket(str(path))
        assert [stats.read()["pid"], stats.read()["pid"]] == [1, 2]


def test_a_socket_that_had_to_be_asked_is_asked_at_once_from_then_on(path: Path) -> None:
    waits = []

    def handler(connection: socket.socket) -> None:
        accepted = time.monotonic()
        wait_for_a_question(connection)
        waits.append(time.monotonic() - accepted)
        http_only(connection)

    with serves(path, handler, handler):
        stats = StatsSocket(str(path))
        assert stats.read() == stats.read() == {"pid": 1}
    assert waits[1] < waits[0]


def test_what_may_be_no_stats_socket_is_never_sent_anything(path: Path) -> None:
    received = []
    server = serves(path, lambda connection: received.append(connection.recv(1)))
    with server, pytest.raises(UnavailableError, match="timed out"):
        StatsSocket(str(path)).read(ask=False)
    assert received == [b""]


def resets(connection: socket.socket) -> None:
    wait_for_a_question(connection)


def resets_in_the_middle(connection: socket.socket) -> None:
    wait_for_a_question(connection)
    connection.sendall(b'{"pid"')


@pytest.mark.parametrize(
    "handler",
    [
        resets,
        resets_in_the_middle,
        answers(""),
        answers("hello"),
        answers("[1]"),
        answers(b"\xff\0"),
        answers("HTTP/1.0 "),
    ],
)
def test_what_is_no_whole_answer_is_unavailable_and_names_the_socket(path: Path, handler: Handler) -> None:
    with serves(path, handler), pytest.raises(UnavailableError, match=f"^{path}: a stats answer is not "):
        StatsSocket(str(path)).read()


def floods(connection: socket.socket) -> None:
    """Say something for ever, byte by byte."""
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b" ")


def test_an_answer_that_does_not_end_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "TIMEOUT", 0.3)
    with serves(path, floods), pytest.raises(UnavailableError, match=f"{path} cannot be read: timed out"):
        StatsSocket(str(path)).read()


def test_an_answer_that_grows_past_all_reason_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LIMIT", 5000)
    with serves(path, floods), pytest.raises(UnavailableError, match="more than 5000 bytes"):
        StatsSocket(str(path)).read()


def test_a_path_in_an_answer_that_is_not_utf8_stays_that_path(path: Path) -> None:
    with serves(path, answers(b'{"cwd":"/srv/caf\xe9"}')):
        assert os.fsencode(StatsSocket(str(path)).read()["cwd"]) == b"/srv/caf\xe9"


def test_a_stats_socket_may_be_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(ANSWER.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        assert StatsSocket(f"127.0.0.1:{port}").read() == {"pid": 1}
        thread.join()


def test_a_stats_socket_that_nobody_holds_is_unavailable(path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"the stats socket {path} cannot be read: No such file"):
        StatsSocket(str(path)).read()
    with listens(path):
        pass
    with pytest.raises(UnavailableError, match="Connection refused"):
        StatsSocket(str(path)).read()


@pytest.mark.parametrize(
    "address",
    ["host:port", "host:", ":", "127.0.0.1:65536", "127.0.0.1:٣", "1:" + "9" * 5000, "é:80", "\udce9:80", "a\0b:80"],
)
def test_what_is_no_address_is_unavailable_in_words(address: str) -> None:
    with pytest.raises(UnavailableError, match="is no address: give the path of a unix socket, or host:port"):
        StatsSocket(address).read()
    with pytest.raises(UnavailableError, match="is no address"):
        send(address, b"")
    assert not accepts(address)


def test_a_path_that_is_too_long_for_a_socket_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="AF_UNIX path too long"):
        StatsSocket("/" + "x" * 200).read()


@pytest.mark.parametrize(
    ("node", "listening"),
    [
        ("/run/a.sock", "/run/a.sock"),
        ("/run//a.sock", "/run/a.sock"),
        ("/run/./a.sock", "/run/x/../a.sock"),
        ("a.sock", "a.sock"),
        ("@a", "@a"),
        ("127.0.0.1:3031", "127.0.0.1:3031"),
        ("127.0.0.1:3031", "0.0.0.0:3031"),
        ("127.0.0.1:3031", "[::]:3031"),
        (":3031", "127.0.0.1:3031"),
        ("*:3031", "127.0.0.1:3031"),
        ("[::1]:3031", "[::]:3031"),
    ],
)
def test_addresses_of_the_same_socket(node: str, listening: str) -> None:
    assert same_socket(node, listening)


@pytest.mark.parametrize(
    ("node", "listening"),
    [
        ("/run/a.sock", "/run/b.sock"),
        ("/run/a.sock", "a.sock"),
        ("/run/a:3031", "0.0.0.0:3031"),
        ("127.0.0.1:3031", "127.0.0.1:3032"),
        ("127.0.0.1:3031", "0.0.0.0:13031"),
        ("127.0.0.1:3031", "10.0.0.1:3031"),
        ("127.0.0.1", "*"),
        ("", "0.0.0.0:3031"),
        ("@a", "a"),
        ("a:", "b:"),
    ],
)
def test_addresses_of_different_sockets(node: str, listening: str) -> None:
    assert not same_socket(node, listening)


@pytest.mark.parametrize(
    ("address", "directory", "expected"),
    [
        ("a.sock", "/srv", "/srv/a.sock"),
        ("run/a.sock", "/srv/", "/srv/run/a.sock"),
        ("a.sock", None, "a.sock"),
        ("/run/a.sock", "/srv", "/run/a.sock"),
        ("@a", "/srv", "@a"),
        ("\0a", "/srv", "\0a"),
        ("127.0.0.1:80", "/srv", "127.0.0.1:80"),
        (":80", "/srv", ":80"),
    ],
)
def test_only_a_relative_path_depends_on_the_directory(address: str, directory: str | None, expected: str) -> None:
    assert resolve(address, directory) == expected


def test_a_datagram_arrives_whole(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(str(path))
        send(str(path), b"\xe0packet")
        assert server.recv(100) == b"\xe0packet"
        assert is_datagram_path(str(path))
        assert not accepts(str(path))


def test_a_datagram_over_udp_arrives_whole_at_a_wildcard_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        for host in ("127.0.0.1", "", "*"):
            send(f"{host}:{server.getsockname()[1]}", b"packet")
            assert server.recv(100) == b"packet"
        assert not is_datagram_path(f"127.0.0.1:{server.getsockname()[1]}")


def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    name = f"uwsgi-reload-hook-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(f"\0{name}")
        send(f"@{name}", b"packet")
        assert server.recv(100) == b"packet"


def test_a_datagram_that_nobody_takes_is_an_oserror(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        send(str(path), b"packet")
    with listens(path), pytest.raises(OSError, match="wrong type"):
        send(str(path), b"packet")
    with pytest.raises(ConnectionRefusedError):
        send(str(path), b"packet")
    assert not is_datagram_path(str(path))


def test_who_listens_accepts_and_who_does_not_does_not(path: Path) -> None:
    assert not accepts(str(path))
    with listens(path):
        assert accepts(str(path))
        assert not is_datagram_path(str(path))
    assert not accepts(str(path))


def test_a_full_backlog_counts_as_accepting_but_cannot_be_connected_to(path: Path) -> None:
    with listens(path, backlog=0), contextlib.ExitStack() as waiting:
        waiting.enter_context(open_stream(str(path)))
        with pytest.raises(BlockingIOError):
            open_stream(str(path))
        assert accepts(str(path))


def test_a_stream_that_is_opened_reaches_the_listener(path: Path) -> None:
    with listens(path) as listener, open_stream(str(path)) as client:
        server, _ = listener.accept()
        with server:
            server.sendall(b"x")
            assert select.select([client], [], [], PATIENCE)[0]
            assert client.recv(1) == b"x"
    with pytest.raises(ConnectionRefusedError):
        open_stream(str(path))
