from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.snapshot import Blacklisting, Node
from uwsgi_reload_hook.uwsgi import stats

HEADERS = (
    "HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n"
)

VASSAL: dict[str, Any] = {
    "id": "app1.ini",
    "pid": 101,
    "born": 1795443363,
    "last_mod": 1795443363,
    "last_heartbeat": 0,
    "loyal": 1,
    "ready": 0,
    "accepting": 1,
    "last_loyal": 0,
    "last_ready": 0,
    "last_accepting": 1795443540,
    "first_run": 1795443539,
    "last_run": 1795443540,
    "cursed": 0,
    "zerg": 0,
    "on_demand": "",
    "uid": 0,
    "gid": 0,
    "monitor": "/etc/vassals",
    "respawns": 2,
}
EMPEROR: dict[str, Any] = {
    "version": "2.0.31",
    "pid": 100,
    "uid": 0,
    "gid": 0,
    "cwd": "/etc/vassals",
    "emperor": ["/etc/vassals"],
    "emperor_tyrant": 0,
    "throttle_level": 0,
    "vassals": [VASSAL],
    "blacklist": [
        {
            "id": "app2.ini",
            "throttle_level": 3000,
            "attempt": 3,
            "first_attempt": 1795443000,
            "last_attempt": 1795443009,
        }
    ],
}
NODE: dict[str, Any] = {
    "name": "/run/app1.sock",
    "modifier1": 0,
    "modifier2": 0,
    "last_check": 1795443541,
    "pid": 0,
    "uid": 0,
    "gid": 0,
    "requests": 7,
    "last_requests": 0,
    "tx": 0,
    "rx": 0,
    "cores": 2,
    "load": 1,
    "weight": 3,
    "wrr": 0,
    "ref": 4,
    "failcnt": 9,
    "death_mark": 1,
}
ROUTER: dict[str, Any] = {
    "version": "2.0.31",
    "pid": 200,
    "uid": 0,
    "gid": 0,
    "cwd": "/srv",
    "active_sessions": 1,
    "fastrouter": ["/run/router.sock", "/run/subscription.sock"],
    "subscriptions": [{"key": "app.local", "hash": 5, "hits": 7, "nodes": [NODE]}],
    "cheap": 0,
}


def written(given_: object, depth: int = 0, *, minified: bool = False, trailing_comma: bool = False) -> str:
    """Write stats as uWSGI does (core/stats.c): no escapes, strings of a list without tabs, a member a line."""
    line, tab = ("", "") if minified else ("\n", "\t")
    if isinstance(given_, dict):
        parts = [
            f'{tab * (depth + 1)}"{key}":'
            + written(value, depth + 1, minified=minified, trailing_comma=trailing_comma and key == "fastrouter")
            for key, value in given_.items()
        ]
        return "{" + line + f",{line}".join(parts) + line + tab * depth + "}"
    if isinstance(given_, list):
        parts = [
            (tab * (depth + 1) if isinstance(item, dict) else "") + written(item, depth + 1, minified=minified)
            for item in given_
        ]
        comma = f",{line}" if trailing_comma else ""
        return "[" + line + f",{line}".join(parts) + comma + line + tab * depth + "]"
    return f'"{given_}"' if isinstance(given_, str) else str(given_)


def router_of(text: str) -> stats.RouterStats:
    return stats.parse_router(stats.decode(text), "/run/router.stats")


@pytest.mark.parametrize("minified", [False, True], ids=["lines", "stats-minified"])
@pytest.mark.parametrize("headers", ["", HEADERS], ids=["plain", "stats-http"])
def test_an_emperors_answer_is_read(minified: bool, headers: str) -> None:
    document = stats.decode(headers + written(EMPEROR, minified=minified))
    assert stats.is_emperor(document)
    assert not stats.is_router(document)
    assert stats.parse_emperor(document) == stats.EmperorStats(
        pid=100,
        cwd="/etc/vassals",
        monitors=("/etc/vassals",),
        vassals=(
            stats.VassalStats(
                id="app1.ini",
                pid=101,
                last_mod=1795443363,
                last_run=1795443540,
                accepting=True,
                respawns=2,
                cursed=False,
                zerg=False,
                on_demand="",
                monitor="/etc/vassals",
                first_run=1795443539,
            ),
        ),
        blacklist={"app2.ini": Blacklisting(1795443000, 3)},
        version="2.0.31",
    )


@pytest.mark.parametrize("minified", [False, True], ids=["lines", "stats-minified"])
@pytest.mark.parametrize("headers", ["", HEADERS], ids=["plain", "stats-http"])
@pytest.mark.parametrize("trailing_comma", [False, True], ids=["alone", "beside another gateway"])
def test_a_routers_answer_is_read(minified: bool, headers: str, trailing_comma: bool) -> None:
    text = headers + written(ROUTER, minified=minified, trailing_comma=trailing_comma)
    assert stats.is_router(stats.decode(text))
    assert not stats.is_emperor(stats.decode(text))
    assert router_of(text) == stats.RouterStats(
        pid=200,
        cwd="/srv",
        sockets=("/run/router.sock", "/run/subscription.sock"),
        nodes=(
            Node(
                router="/run/router.stats",
                key="app.local",
                address="/run/app1.sock",
                modifier1=0,
                modifier2=0,
                cores=2,
                load=1,
                weight=3,
                ref=4,
                last_check=1795443541,
                death_mark=True,
            ),
        ),
    )


def test_the_answer_of_a_real_uwsgi_with_a_second_gateway_is_read() -> None:
    text = (
        '{\n\t"version":"2.0.31",\n\t"pid":11161,\n\t"uid":0,\n\t"gid":0,\n\t"cwd":"/srv/e",\n\t"active_sessions":0,\n'
        '\t"fastrouter":[\n"/srv/e//router.sock",\n"/srv/e//subscription.sock",\n\n\t],\n'
        '\t"subscriptions":[\n\n\t],\n\t"cheap":0\n}'
    )
    assert router_of(text).sockets == ("/srv/e//router.sock", "/srv/e//subscription.sock")


def test_every_key_and_every_node_of_it_is_told() -> None:
    pools = [
        {"key": "a", "nodes": [{**NODE, "name": "1"}, {**NODE, "name": "2", "death_mark": 0}]},
        {"key": "b", "nodes": [{**NODE, "name": "1"}]},
        {"key": "c", "nodes": []},
    ]
    nodes = router_of(written({**ROUTER, "subscriptions": pools})).nodes
    assert [(node.key, node.address, node.death_mark) for node in nodes] == [
        ("a", "1", True),
        ("a", "2", False),
        ("b", "1", True),
    ]


@pytest.mark.parametrize("kind", ["fastrouter", "http", "rawrouter", "sslrouter"])
def test_any_router_names_its_sockets_under_its_own_kind(kind: str) -> None:
    lists = {kind: ["127.0.0.1:80"], "static_nodes": [{"name": "x", "hits": 0, "grace": 0}]}
    first = {"version": "2.0.31", "pid": 200, "cwd": "/srv", "active_sessions": 1}
    document = {**first, **lists, "subscriptions": ROUTER["subscriptions"], "cheap": 0}
    assert router_of(written(document)).sockets == ("127.0.0.1:80",)


def test_a_vassal_that_waits_for_its_first_request_has_no_process() -> None:
    document = {**EMPEROR, "vassals": [{**VASSAL, "pid": -1, "on_demand": "/run/app1.sock", "cursed": 5}]}
    (vassal,) = stats.parse_emperor(stats.decode(written(document))).vassals
    assert (vassal.pid, vassal.on_demand, vassal.cursed) == (-1, "/run/app1.sock", True)


NASTY = [
    pytest.param('app"1', id="a quote"),
    pytest.param('"', id="only a quote"),
    pytest.param('say "hi", twice', id="quotes and a comma"),
    pytest.param("a,]b", id="a comma before a bracket"),
    pytest.param("a, }", id="a comma before a brace"),
    pytest.param(r"a\b", id="a backslash that JSON knows"),
    pytest.param(r"a\x2db", id="a backslash that JSON does not know"),
    pytest.param("a\\", id="a backslash at the end"),
    pytest.param(r"a\"b", id="a backslash before a quote"),
    pytest.param("a\tb\x01", id="control characters"),
    pytest.param("a\u2028b\x0bc\x85", id="what Python takes for the end of a line"),
    pytest.param("{}[]:,", id="structure"),
    pytest.param("HTTP/1.0", id="a protocol"),
    pytest.param("é\udcff", id="not UTF-8"),
]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("trailing_comma", [False, True], ids=["valid list", "trailing comma"])
def test_strings_that_are_not_escaped_are_what_they_say(text: str, trailing_comma: bool) -> None:
    document = {
        **ROUTER,
        "fastrouter": [text, "/run/subscription.sock"],
        "subscriptions": [{"key": text, "nodes": [{**NODE, "name": text}]}],
    }
    told = router_of(written(document, trailing_comma=trailing_comma))
    assert told.sockets == (text, "/run/subscription.sock")
    assert [(node.key, node.address) for node in told.nodes] == [(text, text)]


@pytest.mark.parametrize("text", [case for case in NASTY if '"' not in str(case.values[0])])
def test_minified_strings_are_what_they_say_if_they_have_no_quote(text: str) -> None:
    document = {**ROUTER, "subscriptions": [{"key": text, "nodes": [NODE]}]}
    told = router_of(written(document, minified=True, trailing_comma=True))
    assert [node.key for node in told.nodes] == [text]


def test_a_minified_answer_with_a_quote_in_a_string_is_read_by_its_next_field() -> None:
    document = {**ROUTER, "subscriptions": [{"key": 'a"b', "nodes": [NODE]}]}
    assert [node.key for node in router_of(written(document, minified=True)).nodes] == ['a"b']


@settings(max_examples=100, deadline=None)
@given(
    key=st.text(st.characters(blacklist_characters="\0", blacklist_categories=()), max_size=255),
    minified=st.booleans(),
    trailing_comma=st.booleans(),
)
def test_any_key_comes_back_as_it_was_written(key: str, minified: bool, trailing_comma: bool) -> None:
    document = {**ROUTER, "subscriptions": [{"key": key, "nodes": [NODE]}]}
    told = router_of(written(document, minified=minified, trailing_comma=trailing_comma))
    assert [node.key for node in told.nodes] == [key]


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.text('{}[]",:\\\n 1'), st.builds(lambda text: HEADERS + text, st.text())))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example('{"pid":' + "9" * 10_000 + "}")
@example(HEADERS)
@example("HTTP/1.0 200 OK\r\n")
@example('{"a":"' + '"' * 10_000)
@example("")
@example("null")
@example("[]")
def test_whatever_a_socket_says_is_an_object_or_unavailable(text: str) -> None:
    try:
        document = stats.decode(text)
    except UnavailableError:
        return
    assert isinstance(document, dict)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*VASSAL, *NODE, "key", "nodes"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(sorted({*EMPEROR, *ROUTER})), value=ANYTHING)
@example(key="pid", value=float("inf"))
@example(key="vassals", value=[{**VASSAL, "last_mod": float("inf")}])
@example(key="emperor", value="/etc/vassals")
@example(key="fastrouter", value=None)
@example(key="vassals", value={})
@example(key="subscriptions", value=[{"key": "a", "nodes": 5}])
@example(key="blacklist", value=[["id"]])
def test_an_answer_of_another_shape_is_unavailable_and_never_a_crash(key: str, value: object) -> None:
    for document, read in ((EMPEROR, stats.parse_emperor), (ROUTER, lambda one: stats.parse_router(one, "r"))):
        complaint = ""
        try:
            assert read({**document, key: value})
        except UnavailableError as error:
            complaint = str(error)
        assert not complaint or "shape" in complaint or "list no gateway sockets" in complaint


@pytest.mark.parametrize(
    ("read", "document", "missing"),
    [
        *((stats.parse_emperor, EMPEROR, key) for key in ("pid", "cwd", "emperor", "vassals", "blacklist")),
        *(
            (lambda one: stats.parse_router(one, "r"), ROUTER, key)
            for key in ("pid", "cwd", "fastrouter", "subscriptions")
        ),
    ],
)
def test_an_answer_without_what_is_needed_is_unavailable(
    read: Callable[[stats.Document], object], document: dict[str, Any], missing: str
) -> None:
    with pytest.raises(UnavailableError):
        read({key: value for key, value in document.items() if key != missing})


def test_a_list_that_is_none_is_not_taken_letter_by_letter() -> None:
    with pytest.raises(UnavailableError, match="a list is expected"):
        stats.parse_emperor({**EMPEROR, "emperor": "/etc/vassals"})


def test_the_writer_of_these_tests_writes_json_where_uwsgi_does() -> None:
    assert json.loads(written(EMPEROR)) == json.loads(written(EMPEROR, minified=True)) == EMPEROR
