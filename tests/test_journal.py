"""What one hook writes, another one reads: every field of a roll, and nothing that is no journal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_reload_hook.journal import Journal, decode, encode, shifted
from uwsgi_reload_hook.model import Blacklisting, Node
from uwsgi_reload_hook.roll import Phase, Progress, Request, Result, Roll

words = st.text(max_size=8)
numbers = st.integers(0, 2**63)
moments = st.floats(0, 1e9)
nodes = st.builds(
    Node, router=words, key=words, address=words, ref=numbers, last_check=numbers, death_mark=st.booleans()
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


progresses = st.builds(
    Progress,
    id=words,
    phase=st.sampled_from(Phase),
    since=moments,
    reason=words,
    keys=st.frozensets(words, max_size=3),
    started=maybe(moments),
    finished=maybe(moments),
    first_pid=maybe(numbers),
    nodes=st.lists(nodes, max_size=2).map(tuple),
    drained=st.lists(nodes, max_size=2).map(tuple),
    pid=maybe(numbers),
    respawns=numbers,
    last_mod=numbers,
    reloads=maybe(st.integers(-1, 100)),
    children=maybe(st.frozensets(st.tuples(numbers, moments), max_size=3)),
    new_process=st.booleans(),
    accepts=st.booleans(),
    blacklisted=maybe(st.builds(Blacklisting, first_attempt=numbers, attempt=numbers)),
    acted=maybe(moments),
    looks=numbers,
    healthy_since=maybe(moments),
    announced=maybe(moments),
    probed=maybe(moments),
    awaits_answer=st.booleans(),
)
rolls = st.builds(
    Roll,
    id=words,
    request=st.builds(Request, mtime_ns=numbers, inode=numbers, request_id=words, message=words, only=words),
    started=moments,
    started_wall=moments,
    vassals=st.dictionaries(words, progresses, max_size=3),
    aside=st.dictionaries(words, words, max_size=2),
    minimum=st.dictionaries(words, numbers, max_size=2),
    moved=moments,
    blind_since=maybe(moments),
    stop=maybe(st.sampled_from(Result)),
    result=maybe(st.sampled_from(Result)),
    reason=words,
    finished=maybe(moments),
)
journals = st.builds(
    Journal,
    handled=maybe(st.tuples(numbers, numbers)),
    keys=st.dictionaries(words, st.frozensets(words, max_size=3), max_size=3),
    roll=maybe(rolls),
    saved=moments,
)
ROLL = Roll("1", Request(1), 10.0, 1000.0, {"a.ini": Progress("a.ini", since=11.0, started=12.0)}, moved=13.0)


def document(journal: Journal) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(encode(journal))
    return written


@given(journals)
def test_what_is_written_is_read_as_it_was(journal: Journal) -> None:
    assert decode(encode(journal)) == journal


@given(journals)
def test_a_journal_is_written_the_same_way_twice(journal: Journal) -> None:
    assert encode(journal) == encode(decode(encode(journal)))


@pytest.mark.parametrize("schema", [0, 2, "1", None, []])
def test_another_schema_is_refused_by_name(schema: object) -> None:
    with pytest.raises(ValueError, match="its schema is "):
        decode(json.dumps({**document(Journal()), "schema": schema}))


@pytest.mark.parametrize(
    "change",
    [
        {"handled": 5},
        {"handled": ["x", "y"]},
        {"keys": {"a": 5}},
        {"roll": {}},
        {"roll": {"id": "1"}},
        {"roll": {**document(Journal(roll=ROLL))["roll"], "stop": "tired"}},
        {"roll": {**document(Journal(roll=ROLL))["roll"], "vassals": {"a": {"phase": "asleep"}}}},
        {"roll": {**document(Journal(roll=ROLL))["roll"], "more": 1}},
        {"saved": "soon"},
    ],
)
def test_what_is_no_journal_raises_what_the_store_expects(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        decode(json.dumps({**document(Journal()), **change}))


@given(rolls, st.floats(-1e6, 1e6))
def test_a_roll_that_is_moved_keeps_its_times_on_the_wall_clock(roll: Roll, seconds: float) -> None:
    moved = shifted(roll, seconds)
    for id_, one in roll.vassals.items():
        for name in ("since", "started", "finished", "acted"):
            before, after = getattr(one, name), getattr(moved.vassals[id_], name)
            assert roll.wall(before) == pytest.approx(moved.wall(after), abs=1e-3)
    assert moved.blind_since is None
    assert replace(moved, started=0.0, moved=0.0, vassals={}) == replace(
        roll, started=0.0, moved=0.0, vassals={}, blind_since=None
    )
