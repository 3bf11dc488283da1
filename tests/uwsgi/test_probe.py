"""The probe: how it is written, what it sends, and which answers are good."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uwsgi_reload_hook.probe_spec import AUTO, Probe, parse
from uwsgi_reload_hook.site.prober import Prober, Target
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import probe

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/healthz", Probe("/healthz")),
        (" /h?deep=1 ", Probe("/h?deep=1")),
        ("path=/h,host=app.local,status=200-299", Probe("/h", "app.local", 200, 299)),
        ("path=/h,status=204", Probe("/h", "", 204, 204)),
    ],
)
def test_a_probe_is_a_path_or_pairs(text: str, expected: Probe) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected


def test_a_probe_may_be_auto_or_none() -> None:
    assert parse(" auto ") == AUTO
    assert str(AUTO) == "auto"
    assert parse("none") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "healthz",
        "path=healthz",
        "host=a",
        "path=/,status=abc",
        "path=/,status=300-200",
        "path=/,port=1",
        "auto,host=a",
        "/a b",
        "/ä",
    ],
)
def test_what_is_no_probe_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match=r"path=/healthz,host=app.local,status=200-399"):
        parse(text)


def test_a_request_over_the_uwsgi_protocol_names_path_query_and_host() -> None:
    packet = probe.request(Probe("/a%20b?x=1"), "app:80", over_http=False)
    assert packet[0] == 0
    assert packet[3] == 0
    assert probe.request(Probe("/"), "app", over_http=False, modifiers=(5, 1))[::3][:2] == bytes([5, 1])
    for part in (
        b"PATH_INFO\x04\x00/a b",
        b"QUERY_STRING\x03\x00x=1",
        b"HTTP_HOST\x06\x00app:80",
        b"SERVER_PORT\x02\x0080",
    ):
        assert part in packet


def test_a_request_over_http_uses_the_host_given_before_the_key() -> None:
    text = probe.request(Probe("/h", host="other"), "app", over_http=True)
    assert text.startswith(b"GET /h HTTP/1.0\r\nHost: other\r\n")


@pytest.mark.parametrize(
    ("answer", "good", "words"),
    [
        (GOOD, True, "is answered with 200 OK"),
        (b"HTTP/1.1 302 Found\r\n\r\n", True, "302 Found"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\nInternal Server Error", False, "500 Internal Server Error"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False, "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", False, "half a response, 3 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False, "half a response, because its headers do not end"),
        (b"", False, "not answered in HTTP but with ''"),
        (b"\x00\x01garbage", False, "not answered in HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", False, "not answered in HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n", False, "not answered in HTTP"),
    ],
)
def test_an_answer_is_judged_by_its_status_and_whether_it_is_whole(answer: bytes, good: bool, words: str) -> None:
    result = probe.judge(Probe("/h"), answer)
    assert result.good is good
    assert words in result.words


@contextmanager
def server(path: Path, behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A vassal that does one thing with one connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                behave(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(path)
        thread.join(10)


def outcome(prober: Prober, vassal: str = "v") -> ProbeResult:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if result := prober.results().get(vassal):
            return result
        threading.Event().wait(0.005)
    raise AssertionError("no result in 10 s")


def ask(address: str, limit: float = 10.0) -> ProbeResult:
    prober = Prober(Probe("/h"), limit)
    prober.start("v", Target(address, "app"))
    try:
        return outcome(prober)
    finally:
        prober.close()


def test_a_good_answer_in_pieces_is_good(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in GOOD:
            connection.sendall(bytes([byte]))

    with server(tmp_path / "s", behave) as address:
        assert ask(address) == ProbeResult(True, f"GET /h with Host app at {address} is answered with 200 OK", 200)


def test_no_answer_in_time_is_a_failure(tmp_path: Path) -> None:
    over = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        over.wait(10)

    with server(tmp_path / "s", behave) as address:
        result = ask(address, limit=0.1)
        over.set()
    words = f"GET /h with Host app at {address} is not answered in 0.1 s"
    assert result == ProbeResult(good=False, words=words)


def test_an_answer_without_end_is_a_failure(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            pass

    with server(tmp_path / "s", behave) as address:
        result = ask(address)
    assert not result.good
    assert "more than 1048576 bytes" in result.words


def test_a_connection_that_ends_without_a_word_is_a_failure(tmp_path: Path) -> None:
    with server(tmp_path / "s", lambda _: None) as address:
        assert not ask(address).good


def test_nobody_there_is_a_failure_with_the_address(tmp_path: Path) -> None:
    result = ask(str(tmp_path / "nobody"))
    assert not result.good
    assert str(tmp_path / "nobody") in result.words


def test_a_new_probe_forgets_the_answer_before_it(tmp_path: Path) -> None:
    prober = Prober(Probe("/h"), 10.0)
    prober.leave_out("v", "app", "there is none")
    words = "GET /h with Host app is not sent, because there is none"
    assert prober.results() == {"v": ProbeResult(good=False, words=words)}

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(GOOD)

    with server(tmp_path / "s", behave) as address:
        prober.start("v", Target(address, "app", over_http=True))
        assert outcome(prober).good
    prober.forget("v")
    assert prober.results() == {}
    prober.close()


def test_auto_takes_any_status_below_500_for_an_answer_and_passes_one_not_asked() -> None:
    for status in (200, 301, 400, 401, 404, 499, 500, 503):
        result = probe.judge(AUTO, b"HTTP/1.0 %d X\r\n\r\n" % status)
        assert (result.good, result.status) == (status < 500, status)
    prober = Prober(AUTO, 1.0)
    prober.leave_out("v", "app", "there is no socket")
    assert prober.results()["v"].good


def test_a_400_to_a_probe_that_was_set_tells_how_to_give_a_host() -> None:
    answer = b"HTTP/1.0 400 Bad Request\r\n\r\n"
    assert "reload-hook-probe = path=/,host=www.example.org" in probe.judge(Probe("/"), answer).words
    assert "reload-hook-probe" not in probe.judge(Probe("/", lowest=400, highest=400), answer).words
