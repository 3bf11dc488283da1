from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uwsgi_reload_hook.snapshot import HOOKS_LOAD, Node
from uwsgi_reload_hook.uwsgi import packets

NODE = Node("/run/router.stats", "app.local", "/run/app1.sock", 5, 1, cores=2, load=7, weight=3, ref=9, death_mark=True)


def decoded(packet: bytes) -> tuple[int, int, dict[bytes, bytes]]:
    """Read a packet as the protocol says: modifier1, size, modifier2, then lengths and texts in turn."""
    body = packet[4:]
    assert int.from_bytes(packet[1:3], "little") == len(body)
    texts = []
    while body:
        length = int.from_bytes(body[:2], "little")
        texts.append(body[2 : 2 + length])
        assert len(texts[-1]) == length
        body = body[2 + length :]
    return packet[0], packet[3], dict(zip(texts[::2], texts[1::2], strict=True))


def test_a_packet_byte_by_byte() -> None:
    assert packets.encode({"key": "é"}, 224, 1) == b"\xe0\x09\x00\x01\x03\x00key\x02\x00\xc3\xa9"
    assert packets.encode({}, 0, 0) == b"\0\0\0\0"


@settings(max_examples=50, deadline=None)
@given(
    variables=st.dictionaries(st.text(), st.text()),
    modifier1=st.integers(0, 255),
    modifier2=st.integers(0, 255),
)
def test_what_is_encoded_can_be_read_back(variables: dict[str, str], modifier1: int, modifier2: int) -> None:
    expected = {key.encode(): value.encode() for key, value in variables.items()}
    assert decoded(packets.encode(variables, modifier1, modifier2)) == (modifier1, modifier2, expected)


@pytest.mark.parametrize(
    ("make", "modifier2", "load"),
    [(packets.subscribe, 0, str(HOOKS_LOAD).encode()), (packets.unsubscribe, 1, b"7")],
)
def test_a_node_is_announced_as_it_was_but_for_the_hooks_load(make: object, modifier2: int, load: bytes) -> None:
    assert callable(make)
    assert decoded(make(NODE)) == (
        224,
        modifier2,
        {
            b"key": b"app.local",
            b"address": b"/run/app1.sock",
            b"modifier1": b"5",
            b"modifier2": b"1",
            b"cores": b"2",
            b"load": load,
            b"weight": b"3",
        },
    )


def test_a_key_that_is_not_utf8_leaves_with_the_bytes_that_it_came_with() -> None:
    key = b"caf\xe9".decode(errors="surrogateescape")
    assert decoded(packets.unsubscribe(Node("r", key, "/a")))[2][b"key"] == b"caf\xe9"


def test_a_text_of_65535_bytes_fits_where_the_body_does() -> None:
    longest = "v" * (65535 - 2 - 2)
    assert decoded(packets.encode({"": longest}, 0, 0))[2] == {b"": longest.encode()}


@pytest.mark.parametrize(
    "variables",
    [{"key": "v" * 65536}, {"k" * 65536: ""}, {"key": "v" * 65531}, {str(n): "v" * 1000 for n in range(70)}],
    ids=["a value", "a key", "a body by a byte", "a body of many"],
)
def test_what_does_not_fit_is_an_error(variables: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="do not fit a uwsgi packet"):
        packets.encode(variables, 0, 0)
