"""What one hook writes, another one reads: every field of a roll, and nothing that is no journal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journals import journals, rolls
from uwsgi_reload_hook.journal import Journal, decode, encode, shifted
from uwsgi_reload_hook.roll import Progress, Request, Roll

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
        {"usual_load": "long"},
    ],
)
def test_what_is_no_journal_raises_what_the_store_expects(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        decode(json.dumps({**document(Journal()), **change}))


def test_a_journal_of_before_the_load_was_kept_is_read() -> None:
    old = document(Journal(roll=ROLL))
    del old["usual_load"], old["roll"]["usual_load"]
    assert decode(json.dumps(old)) == Journal(keys={}, roll=ROLL)


def test_children_that_an_earlier_version_told_by_the_wall_clock_are_not_known() -> None:
    progress = Progress("a.ini", children=frozenset({(7, 1)}))
    old = document(Journal(roll=replace(ROLL, vassals={"a.ini": progress})))
    old["roll"]["vassals"]["a.ini"]["children"] = [[7, 1_700_000_000.25]]
    read = decode(json.dumps(old)).roll
    assert read is not None
    assert read.vassals["a.ini"].children is None


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
