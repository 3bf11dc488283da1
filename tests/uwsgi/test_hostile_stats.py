"""Names in the stats that are made to mislead: their own entry may be lost, and is said; nobody else's is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.children import python
from tests.support.servers import answers, serves
from tests.uwsgi.test_stats import EMPEROR, NODE, ROUTER, VASSAL, router_of, written
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site import sockets
from uwsgi_reload_hook.site.names import OddNames
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.uwsgi import stats

FRAGMENTS = [
    '"',
    '",',
    '"\n',
    "\n\t\t\t",
    "\\",
    "{",
    "}",
    "[",
    "]",
    '{"key":"',
    '{"name":"',
    '{\n\t\t\t"id":"',
    '","hash":1,',
    '"hits":1,"nodes":[',
    '","modifier1":0,"modifier2":0,',
    '"death_mark":0}',
    '],"subscriptions":[',
    '],"cheap":0}',
    '","pid":1,',
    '","throttle_level":1,',
    '"on_demand":"',
    '","uid":0,',
    '"monitor":"',
    '","respawns":0}',
    '],"blacklist":[',
    '"vassals":[',
    "x",
    "\udcff",
    "é",
]
hostile = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])),
).filter(lambda text: len(os.fsencode(text)) <= 250)
file_names = hostile.map(lambda text: text.replace("/", "-") + ".ini")


def pool(key: str, *names: str) -> dict[str, Any]:
    return {"key": key, "hash": 5, "hits": 7, "sni_enabled": 0, "nodes": [{**NODE, "name": name} for name in names]}


def router(*pools: dict[str, Any], minified: bool = False) -> stats.RouterStats:
    return router_of(written({**ROUTER, "subscriptions": list(pools)}, minified=minified))


@hypothesis_settings(max_examples=400, deadline=None)
@given(hostile, hostile, st.booleans())
@example('x"\ny"', "a", False)
@example('x","nodes":[]}],"subscriptions":[{"key":"y', "a", True)
@example("a", 'x","modifier1":1,"key":"', True)
@example("", '","pid":1,"on_demand":"', False)
def test_no_subscriber_hides_or_changes_the_nodes_of_another_one(key: str, address: str, minified: bool) -> None:
    honest = router(pool("a", "/1", "/2"), pool("b", "/3")).nodes
    told = router(pool("a", "/1", "/2"), pool(key, address, "/mine"), pool("b", "/3"), minified=minified)
    assert [node for node in told.nodes if node in honest][: len(honest)] == list(honest)
    assert told.pid == ROUTER["pid"]
    assert told.sockets == tuple(ROUTER["fastrouter"])
    assert (key, address) in {(node.key, node.address) for node in told.nodes} or any(
        begin in key + address for begin in ('{"key":"', '{"name":"', '","hash":', '"nodes":[', '","modifier1":')
    )


@hypothesis_settings(max_examples=400, deadline=None)
@given(hostile, st.booleans())
@example('x{"key":"', False)
@example('x{"name":"', True)
@example('x","modifier1":1},{"key":"z","hash":1,"nodes":[{"name":"y', True)
def test_an_address_hides_none_of_the_other_nodes_under_its_key(address: str, minified: bool) -> None:
    """But for one that ends the list: who may subscribe under a key may unsubscribe the others as well."""
    address = address.replace("]", "")
    told = router(pool("a", "/1", address, "/2"), pool("b", address, "/3"), pool("c", "/4"), minified=minified)
    found = [(node.key, node.address) for node in told.nodes]
    assert [one for one in found if one[1] in {"/1", "/2", "/3", "/4"}] == [
        ("a", "/1"),
        ("a", "/2"),
        ("b", "/3"),
        ("c", "/4"),
    ]


@pytest.mark.parametrize("minified", [False, True], ids=["lines", "stats-minified"])
@pytest.mark.parametrize("key", ['a"b', 'a"\nb"', '"\n"', '"', '",', 'app", "x": "y', 'x","y":"z', 'a\n"hash":1'])
def test_a_key_with_quotes_and_line_breaks_is_what_it_says(key: str, minified: bool) -> None:
    told = router(pool(key, "/1"), pool("b", "/2"), minified=minified)
    assert [(node.key, node.address) for node in told.nodes] == [(key, "/1"), ("b", "/2")]
    assert told.left_out == ""


@pytest.mark.parametrize("begin", ['{"key":"', '{"name":"'])
def test_what_cannot_be_read_is_left_out_and_said_short(begin: str) -> None:
    told = router(pool(f"a{begin}" * 20, "/1"), pool("b", "/2"))
    assert ("b", "/2") in [(node.key, node.address) for node in told.nodes]
    assert 'entries, such as \'"key":"a\'' in told.left_out
    assert len(told.left_out) < 300


@pytest.mark.parametrize("junk", ["x", '{"a', '"key":"a"', "5"])
def test_a_list_of_which_nothing_is_an_entry_is_said_or_unavailable(junk: str) -> None:
    text = written({**ROUTER, "subscriptions": []})
    try:
        assert router_of(text.replace('"subscriptions":[', f'"subscriptions":[{junk}')).left_out
    except UnavailableError as error:
        assert "shape" in str(error)  # noqa: PT017 - one of the two


def test_a_name_that_uwsgi_would_not_take_is_left_out() -> None:
    told = router(pool("k" * 256, "/1"), pool("b", "a" * 256, "/2"), pool("c\0", "/3"))
    assert [(node.key, node.address) for node in told.nodes] == [("b", "/2")]
    assert told.left_out.startswith("3 entries, such as ")


@pytest.mark.parametrize("field", ["cores", "load", "weight", "ref", "modifier1", "last_check"])
@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 1.5, "1", None, True])
def test_a_number_that_uwsgi_cannot_print_is_left_out(field: str, number: object) -> None:
    node = {**NODE, "name": "/mine", field: number}
    document = {**ROUTER, "subscriptions": [{"key": "a", "nodes": [node, NODE]}]}
    told = stats.parse_router(document, "r")
    assert [node.address for node in told.nodes] == [NODE["name"]]
    assert told.left_out.startswith("1 entries, such as ")


@pytest.mark.parametrize("end", [1, 3, 20, 200, 400, 700])
@pytest.mark.parametrize("document", [EMPEROR, {**ROUTER, "subscriptions": [pool('a"\n"', "/1"), pool("b", "/2")]}])
def test_an_answer_that_stops_in_the_middle_is_unavailable_and_never_half(document: dict[str, Any], end: int) -> None:
    text = written(document)
    with pytest.raises(UnavailableError):
        stats.decode(text[:-end])


# The Emperor's, of which no vassal may be missing.


def emperor_of(ids: list[str], known: list[str], *, minified: bool = False, **changes: object) -> stats.EmperorStats:
    vassals = [{**VASSAL, "id": id_, "pid": 100 + number, **changes} for number, id_ in enumerate(ids)]
    blacklist = [{**EMPEROR["blacklist"][0], "id": id_} for id_ in ids]
    text = written({**EMPEROR, "vassals": vassals, "blacklist": blacklist}, minified=minified)
    return stats.parse_emperor(stats.decode(text, lambda _monitors, _cwd: known))


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.lists(file_names, max_size=3, unique=True), st.booleans())
@example(['x", "x": "y.ini'], False)
@example(['x","pid":1,"x":"y.ini'], True)
@example([':"app-1.ini', ':"app-2.ini'], False)
@example(['a"b.ini', 'a"b.ini",c.ini'], True)
@example(['\\".ini', "\\.ini"], False)
@example(['"blacklist":[.ini', '{"id":"x.ini'], True)
def test_every_name_in_the_directory_is_read_exactly(names: list[str], minified: bool) -> None:
    ids = ["app-1.ini", *(name for name in names if name != "app-1.ini"), "app-2.ini"]
    told = emperor_of(ids, [name for name in ids if '"' in name or not name.isprintable()], minified=minified)
    assert [(one.id, one.pid) for one in told.vassals] == [(id_, 100 + number) for number, id_ in enumerate(ids)]
    assert [*told.blacklist] == ids


@hypothesis_settings(max_examples=400, deadline=None)
@given(file_names, st.booleans())
@example('x", "x": "y.ini', False)
@example('a"\n"b.ini', False)
def test_without_the_directory_a_name_is_read_exactly_or_there_is_no_look(name: str, minified: bool) -> None:
    try:
        told = emperor_of(["app-1.ini", name, "app-2.ini"], [], minified=minified)
    except UnavailableError:
        assert any(begin in name for begin in ('"id":"', '","pid":', '","thrott', '],"blackl', '"vassals":['))
        return
    assert [one.id for one in told.vassals if one.id.startswith("app-")] == ["app-1.ini", "app-2.ini"]
    assert {one.pid for one in told.vassals} >= {100, 101, 102}


@pytest.mark.parametrize("minified", [False, True], ids=["lines", "stats-minified"])
@pytest.mark.parametrize("text", ['/run/a"b', '/run/"\n"', 'x","uid":1,'])
def test_an_on_demand_socket_with_quotes_is_read(text: str, minified: bool) -> None:
    told = emperor_of(["app-1.ini", "app-2.ini"], [], minified=minified, on_demand=text)
    assert [(one.id, one.on_demand) for one in told.vassals] == [("app-1.ini", text), ("app-2.ini", text)]


def test_a_vassal_that_cannot_be_read_ends_the_look_with_words_instead_of_missing() -> None:
    with pytest.raises(UnavailableError, match=r"name vassals that cannot be read: .*; rename their configs"):
        emperor_of(["app-1.ini", 'x{"id":"y.ini'], [])
    with pytest.raises(UnavailableError, match="unknown shape: no field 'last_mod'"):
        stats.parse_emperor({**EMPEROR, "vassals": [{"id": "a.ini", "pid": 5}]})


@pytest.mark.parametrize("pid", [-2, 2**31, 10**20, "5", 1.0])
def test_what_is_no_pid_is_no_vassal(pid: object) -> None:
    with pytest.raises(UnavailableError, match="of an unknown shape"):
        stats.parse_emperor({**EMPEROR, "vassals": [{**VASSAL, "pid": pid}]})


def test_a_time_before_1970_has_its_sign_back() -> None:
    (vassal,) = stats.parse_emperor({**EMPEROR, "vassals": [{**VASSAL, "last_mod": 2**64 - 86_400}]}).vassals
    assert vassal.last_mod == -86_400


# Which names there are.


def test_odd_names_are_found_in_directories_and_globs_as_the_emperor_calls_them(tmp_path: Path) -> None:
    for directory in ("plain", "one", "two"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / 'a"b.ini').touch()
        (tmp_path / directory / "c.ini").touch()
    (tmp_path / "plain" / "d\ne.ini").touch()
    monitors = [str(tmp_path / "plain"), "t*/*.ini", "one/*.ini", f"{tmp_path}/one/*.ini", "gone", "pg://host/db"]
    assert sorted(OddNames().ids(monitors, str(tmp_path))) == sorted(
        ['a"b.ini', "d\ne.ini", 'two/a"b.ini', 'one/a"b.ini', f'{tmp_path}/one/a"b.ini']
    )


def test_a_directory_is_listed_again_only_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'a"b.ini').touch()
    os.utime(tmp_path, (1000, 1000))
    names = OddNames()
    listed: list[str] = []
    real = os.listdir

    def listdir(path: str) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    for _ in range(3):
        assert names.ids([str(tmp_path)], "/") == ['a"b.ini']
    assert listed == [str(tmp_path)]
    (tmp_path / 'a"b.ini').rename(tmp_path / 'c"d.ini')
    assert names.ids([str(tmp_path)], "/") == ['c"d.ini']


def test_a_stats_socket_knows_the_names_that_its_emperor_scans(tmp_path: Path) -> None:
    name = 'x", "x": "y.ini'
    (tmp_path / name).touch()
    document = {**EMPEROR, "emperor": [str(tmp_path)], "vassals": [{**VASSAL, "id": name}], "blacklist": []}
    with serves(tmp_path / "s", answers(written(document))):
        (vassal,) = stats.parse_emperor(StatsSocket(str(tmp_path / "s")).read()).vassals
    assert vassal.id == name


# How much work it is.

HEAD = '{"version":"2","pid":1,"cwd":"/","active_sessions":1,"fastrouter":["/e"],"subscriptions":['
BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from uwsgi_reload_hook.uwsgi import stats
from uwsgi_reload_hook.errors import UnavailableError
head, unit, end = (bytes.fromhex(word).decode() for word in sys.argv[1:4])
try:
    stats.parse_router(stats.decode(head + unit * (int(sys.argv[4]) // len(unit)) + end), "r")
except UnavailableError:
    pass
print("ended")
"""


@pytest.mark.parametrize(
    ("head", "unit", "end"),
    [
        ('{"a":"', "x", ""),
        ('{"a":"', '"', ""),
        ('{"a":"', "\\", ""),
        ('{"a":', "[", ""),
        ('{"a":"', "\n", ""),
        ('{"cwd":"', '" ', HEAD[1:] + '],"cheap":0}'),
        (HEAD, '{"key":"', '],"cheap":0}'),
        (HEAD, '{"name":"', '],"cheap":0}'),
        (HEAD + '{"key":"', '","hash":1,', '],"cheap":0}'),
        (HEAD, '{"key":"a","hash":1,"nodes":[', '],"cheap":0}'),
        (HEAD + '{"key":"', "x", '],"cheap":0}'),
    ],
)
def test_a_hostile_answer_of_the_longest_length_takes_linear_time_and_memory(head: str, unit: str, end: str) -> None:
    """The kernel ends the child that takes 1 GiB, or 20 s of a CPU; of a quadratic way one byte in 400 would do."""
    words = [text.encode().hex() for text in (head, unit, end)]
    with python("-c", BOUNDED, *words, str(sockets.LIMIT)) as child:
        out, err = child.communicate()
    assert (out, err) == ("ended\n", "")


def test_a_router_that_lists_thirty_thousand_nodes_is_read(tmp_path: Path) -> None:
    """Somebody who announced 12,000 keys ended every look."""
    count = 30_000
    document = {**ROUTER, "subscriptions": [pool(f"key-{number}.test", "/run/a.sock") for number in range(count)]}
    with serves(tmp_path / "s", answers(written(document))):
        assert len(stats.parse_router(StatsSocket(str(tmp_path / "s")).read(), "r").nodes) == count


def test_the_longest_answer_holds_more_vassals_than_one_emperor_has() -> None:
    entry = len(written([VASSAL], 1))
    assert sockets.LIMIT // entry > 10_000
