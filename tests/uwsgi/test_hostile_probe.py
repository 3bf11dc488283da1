"""A vassal answers its probe with whatever it likes: that is a result in words, and never an exception."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.servers import listens
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.probe_spec import Probe, parse
from uwsgi_reload_hook.site import sockets
from uwsgi_reload_hook.site.prober import Prober, Target
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import probe

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONGEST_WORDS = 500


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OK + b"Content-Length: 99999999999999999999999\r\n\r\nok", "an invalid Content-Length, '99999"),
        (OK + b"Content-Length: 18446744073709551615\r\n\r\nok", "an impossible length"),
        (OK + b"Content-Length: 999999999999\r\n\r\nok", "half a response, 2 bytes"),
        (OK + b"Content-Length: " + b"9" * 60_000 + b"\r\n\r\nok", "an invalid Content-Length"),
        (OK + b"Content-Length: -5\r\n\r\nok", "an invalid Content-Length, '-5'"),
        (OK + b"Content-Length: \xb2\r\n\r\nok", "an invalid Content-Length"),
        (CHUNKED + b"ffffffffffffffffffffff\r\nok", "an impossible length"),
        (CHUNKED + b"f" * 60_000 + b"\r\nok", "an impossible length"),
        (CHUNKED + b"-5\r\nok", "half a response"),
        (CHUNKED + b"1\r\na\r\n" * 170_000, "half a response, 170000 bytes"),
        (OK + b"x: y\r\n" * 170_000 + b"\r\n", "not answered in HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 41_000, "not answered in HTTP"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 41_000, "103 Early Hints"),
        (b"HTTP/1.1 " + b"2" * 1_000_000, "not answered in HTTP"),
        (b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n", "not answered in HTTP"),
        (b"\0" * 1_000_000, "not answered in HTTP"),
    ],
)
def test_an_absurd_answer_is_a_failed_probe_in_words(answer: bytes, words: str) -> None:
    result = probe.judge(Probe("/h"), answer)
    assert not result.good
    assert words in result.words
    assert len(result.words) < LONGEST_WORDS


numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
    st.integers(-(2**70), 2**70).map(lambda number: f"{number:x}".encode()),
    st.sampled_from([b"", b"9" * 5000, b"1_0", b"+5", b" 5", b"0x10", b"\xb2", b"nan", b"1e3"]),
)
bodies = st.lists(st.one_of(st.binary(max_size=9), numbers, st.sampled_from([b"\r\n", b"\n", b";", b"0"])), max_size=8)
answers = st.builds(
    lambda status, headers, body: b"".join([status, *headers, b"\r\n", *body]),
    st.one_of(
        st.sampled_from([OK, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/0.9 200\r\n", b"HTTP/1.1 -1 x\r\n", b""]),
        numbers.map(lambda number: b"HTTP/1.1 " + number + b" \x1b[31m\r\n"),
    ),
    st.lists(
        st.one_of(
            numbers.map(lambda number: b"Content-Length: " + number + b"\r\n"),
            st.sampled_from(
                [b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b" folded\r\n", b"no colon\r\n"]
            ),
            st.binary(max_size=20),
        ),
        max_size=4,
    ),
    bodies,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(answers, st.binary(), st.builds(lambda answer, end: answer[:end], answers, st.integers(0, 80))))
@example(b"")
def test_whatever_a_vassal_answers_is_a_short_result(answer: bytes) -> None:
    result = probe.judge(Probe("/h"), answer)
    assert isinstance(result, ProbeResult)
    assert 0 < len(result.words) < LONGEST_WORDS


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.text("/,=-0123456789pathosu"), st.just("path=/,status=" + "9" * 5000)))
@example("/" + "x" * 100_000)
@example("path=/,status=٣")
def test_whatever_the_option_says_is_a_probe_or_a_valueerror_with_what_is_accepted(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError as error:
        assert "path=/healthz,host=app.local,status=200-399" in str(error)  # noqa: PT017 - or it is a probe
    else:
        assert parsed is None or probe.request(parsed, "app", over_http=False)


@given(st.text(max_size=255).map(os.fsencode).map(os.fsdecode), st.booleans())
@example("a\r\nX-Forged: 1\udcff", True)
def test_a_key_of_any_bytes_makes_a_request_of_three_lines(key: str, over_http: bool) -> None:
    request = probe.request(Probe("/h"), key, over_http=over_http)
    if over_http:
        assert request.count(b"\n") == 4
        assert request.isascii()


def test_an_answer_that_names_more_than_a_machine_holds_ends_the_probe(tmp_path: Path) -> None:
    prober = Prober(Probe("/h"), 10.0)
    with listens(tmp_path / "s") as listener:
        prober.start("v", Target(str(tmp_path / "s"), "app"))
        assert prober.results() == {}
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(4096)
            connection.sendall(OK + b"Content-Length: 18446744073709551615\r\n\r\nok")
        while not (found := prober.results()):
            threading.Event().wait(0.005)
    assert "an impossible length" in found["v"].words
    prober.close()


@pytest.mark.parametrize("address", ["a..b:80", ".:80", f"{'x' * 64}.test:80"])
def test_a_host_that_no_resolver_takes_is_no_address(address: str) -> None:
    with pytest.raises(UnavailableError, match="is no address"):
        sockets.open_stream(address)
    assert not sockets.accepts(address)
    with pytest.raises(UnavailableError, match="is no address"):
        sockets.send(address, b"")


@pytest.mark.parametrize("address", ["name.test:80", "127.1:80", "ip6-localhost:80"])
def test_a_host_that_is_a_name_is_not_looked_up(address: str) -> None:
    """Before: whoever's name it was could let his name server wait, and all vassals with it."""
    with pytest.raises(UnavailableError, match="has a host's name, which is not looked up here"):
        sockets.open_stream(address)
    assert not sockets.accepts(address)
    assert not sockets.is_here(address)


def test_only_this_hosts_own_addresses_are_here() -> None:
    here = ["127.0.0.1:80", "localhost:80", ":80", "0.0.0.0:80", "/run/socket", "192.0.2.1:80"]
    assert [sockets.is_here(address) for address in here] == [True, True, True, True, True, False]


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=()), max_size=255))
@example("\0")
@example("@")
@example("")
@example("/x\0y")
@example("\ud800")
def test_whatever_a_path_is_it_is_a_socket_or_an_error_that_is_expected(address: str) -> None:
    if ":" in address and not address.startswith("/"):
        return  # a host: what the resolver says of it is tested above, with no network
    assert sockets.accepts(address) is False
    assert sockets.is_datagram_path(address) is False
