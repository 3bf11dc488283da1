"""What one hook writes, another one reads: every field of a roll, and nothing that is no journal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.build import a_progress, a_roll
from tests.support.journals import journals, rolls
from uwsgi_reload_hook.clocks import Monotonic, Seconds, WallClock
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Roll
from uwsgi_reload_hook.records import codec
from uwsgi_reload_hook.records.journal import Journal, decode, encode, moved, shifted

ROLL = a_roll(a_progress("a.ini", since=11.0, started=12.0), started=10.0, started_wall=1000.0, last_change=13.0)


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


def changed(**changes: object) -> dict[str, Any]:
    return {**document(Journal(roll=ROLL))["roll"], **changes}


def vassal(**changes: object) -> dict[str, Any]:
    return {"roll": changed(vassals={"a.ini": {"id": "a.ini", **changes}})}


NODE = {"router": "r", "key": "k", "address": "a"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"handled": 5}, "handled: a list is expected, not 5"),
        ({"handled": ["x", "y"]}, "handled: 0: a whole number"),
        ({"handled": [1]}, "handled: a list of 2"),
        ({"handled": [True, 1]}, "handled: 0: a whole number"),
        ({"keys": {"a": 5}}, "keys: a: a list is expected"),
        ({"keys": []}, "keys: an object is expected"),
        ({"keys": {"a": ["x", 5]}}, "keys: a: 1: text is expected, not 5"),
        ({"roll": {}}, "roll: the field id is missing"),
        ({"roll": {"id": "1"}}, "roll: the field request is missing"),
        ({"roll": []}, "roll: an object is expected"),
        ({"roll": changed(stopping="tired")}, "roll: stopping: one of done, failed"),
        ({"roll": changed(stopping=["done"])}, "roll: stopping: one of done"),
        ({"roll": changed(more=1)}, "roll: no field is named 'more'"),
        ({"roll": changed(started=None)}, "roll: started: a number is expected, not None"),
        ({"roll": changed(minimum={"app": 1.5})}, "roll: minimum: app: a whole number"),
        ({"roll": changed(request={"mtime_ns": 10**40})}, "roll: request: mtime_ns: a whole number of up to 96 bits"),
        ({"roll": changed(vassals={"a": {"phase": "asleep"}})}, "roll: vassals: a: the field id is missing"),
        ({"roll": changed(vassals={"a": {"id": "b"}})}, "roll: vassals: a: it is the entry of b"),
        ({"roll": changed(vassals={"\0": {"id": "\0"}})}, "an id holds a NUL"),
        ({"roll": changed(vassals={"\ud800": {"id": "\ud800"}})}, "text that stands for bytes"),
        (vassal(phase="asleep"), "roll: vassals: a.ini: phase: one of pending"),
        (vassal(since="soon"), "since: a number is expected, not 'soon'"),
        (vassal(since=1e300), "since: a number up to"),
        (vassal(since=float("nan")), "since: a number up to"),
        (vassal(since=-float("inf")), "since: a number up to"),
        (vassal(since=10**400), "since: a number up to"),
        (vassal(since=True), "since: a number is expected, not True"),
        (vassal(image="newer"), "image: one of old, woken"),
        (vassal(before={"accepts": 1}), "before: accepts: true or false"),
        (vassal(before={"pid": "5"}), "before: pid: a whole number"),
        (vassal(before={"pid": 2**200}), "before: pid: a whole number of up to 96 bits"),
        (vassal(drain={"nodes": {}}), "drain: nodes: a list is expected"),
        (vassal(drain={"nodes": [5]}), "drain: nodes: 0: an object is expected"),
        (vassal(drain={"nodes": [{**NODE, "ref": None}]}), "drain: nodes: 0: ref: a whole number"),
        (vassal(drain={"nodes": [{**NODE, "colour": 1}]}), "drain: nodes: 0: no field is named 'colour'"),
        (vassal(keys="app"), "keys: a list is expected, not 'app'"),
        (vassal(keys=[["app"]]), "keys: 0: text is expected"),
        (vassal(before={"children": [[1]]}), "before: children: 0: a list of 2"),
        (vassal(before={"children": [[1, None]]}), "before: children: 0: 1: a whole number"),
        (vassal(before={"blacklisted": []}), "before: blacklisted: an object"),
        ({"saved": "soon"}, "saved: a number"),
        ({"saved": None}, "saved: a number"),
        ({"usual_load": "long"}, "usual_load: a number"),
        ({"more": 1}, "no field is named 'more'"),
    ],
)
def test_what_is_no_journal_is_a_valueerror_that_names_the_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(json.dumps({**document(Journal()), **change}))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "5", '"x"', "{", '{"schema": 1.0}', '{"schema": true}', "[" * 100_000, '{"schema":' * 50_000],
)
def test_what_is_no_document_of_this_schema_is_a_valueerror(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(text)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [2**64, 2**97, 10**400, -1, 1e308, float("inf"), float("nan"), "\ud800", "\0", "done", "draining"]
    )
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Where in a document something else could stand."""
    inner: list[tuple[object, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def planted(value: Any, path: tuple[Any, ...], junk: object) -> object:  # noqa: ANN401 - any JSON
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = planted(value[path[0]], path[1:], junk)
    return copy


@settings(max_examples=300, deadline=None)
@given(journals, st.data())
def test_a_journal_with_anything_anywhere_is_a_journal_or_a_valueerror(journal: Journal, data: st.DataObject) -> None:
    written = document(journal)
    path = data.draw(st.sampled_from(places(written)))
    text = json.dumps(planted(written, path, data.draw(JUNK)))
    text = text[: data.draw(st.sampled_from([len(text), len(text) // 2]))]
    try:
        read = decode(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - or it is a journal
    else:
        assert decode(encode(read)) == read
        shifted(read.roll or ROLL, 5.0)


def test_a_field_that_a_dataclass_gains_is_written_and_read_by_its_hint() -> None:
    @dataclass(frozen=True)
    class More:
        id: str
        kinds: frozenset[Phase] = frozenset()
        pairs: tuple[tuple[int, float], ...] = ()
        rolls: Mapping[str, Roll] | None = None

    given_ = {"id": "a", "kinds": ["done"], "pairs": [[1, 2]], "rolls": {"x": changed()}}
    read = codec.decode(given_, More)
    assert read == More("a", frozenset({Phase.DONE}), ((1, 2.0),), {"x": ROLL})


class Inner(NamedTuple):
    at: Monotonic | None = None
    lasts: Seconds = 1.0
    phase: Phase = Phase.PENDING


NOTHING = Inner()


@dataclass(frozen=True)
class Outer:
    id: str
    inner: Inner = NOTHING
    maybe: Inner | None = None
    several: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()


OUTER = Outer("a", Inner(5.0, phase=Phase.DONE), Inner(), (Inner(6.0),), {"x": Inner(7.0)}, (Request(1),))


def test_a_nested_record_is_written_with_what_differs_from_its_defaults_and_read() -> None:
    text = json.dumps(OUTER, default=codec.plain)
    assert json.loads(text) == {
        "id": "a",
        "inner": {"at": 5.0, "phase": "done"},
        "maybe": {},
        "several": [{"at": 6.0}],
        "named": {"x": {"at": 7.0}},
        "requests": [{"mtime_ns": 1}],
    }
    assert codec.decode(json.loads(text), Outer) == OUTER
    assert codec.written(Outer("b")) == {"id": "b"}


def test_a_moment_of_a_record_in_a_record_is_moved() -> None:
    expected = Outer("a", Inner(6.0, phase=Phase.DONE), Inner(), (Inner(7.0),), {"x": Inner(8.0)}, (Request(1),))
    assert moved(OUTER, Outer, 1.0) == expected


def leaves(hint: Any) -> list[Any]:  # noqa: ANN401 - any hint
    """The hints of every value that there can be inside a value of this one, `Annotated` and all."""
    inside = () if get_origin(hint) is Annotated else get_args(hint)
    if is_dataclass(hint) or hasattr(hint, "_fields"):
        inside = tuple(get_type_hints(hint, include_extras=True).values())
    return [leaf for one in inside for leaf in leaves(one)] if inside else [hint]


def test_every_float_says_what_it_counts_from() -> None:
    """A bare float would be moved to no other boot: use Monotonic, WallClock or Seconds."""
    found = leaves(Journal)
    assert float not in found
    assert {hint for hint in found if get_origin(hint) is Annotated} == {Monotonic, WallClock, Seconds}


def test_a_journal_of_before_the_load_was_kept_is_read() -> None:
    old = document(Journal(roll=ROLL))
    assert "usual_load" not in {*old, *old["roll"]}
    assert decode(json.dumps(old)) == Journal(roll=ROLL)


def moments(value: Any, hint: Any) -> list[float]:  # noqa: ANN401 - any value of any hint
    """Every moment on the monotonic clock that there is inside a value."""
    if value is None:
        return []
    if hint == Monotonic:
        return [value]
    inside: list[tuple[object, object]] = []
    if is_dataclass(hint) or hasattr(hint, "_fields"):
        inside = [(getattr(value, name), one) for name, one in get_type_hints(hint, include_extras=True).items()]
    elif get_origin(hint) is Mapping:
        inside = [(one, get_args(hint)[1]) for one in value.values()]
    elif get_origin(hint) in {tuple, frozenset}:
        each = (get_args(hint)[0],) * len(value) if get_args(hint)[1:] in {(), (Ellipsis,)} else get_args(hint)
        inside = [*zip(value, each, strict=True)]
    elif get_origin(hint) in {Union, UnionType}:
        inside = [(value, next(one for one in get_args(hint) if one is not NoneType))]
    return [found for one, of in inside for found in moments(one, of)]


def walls(roll: Roll) -> list[float | None]:
    return [roll.wall(moment) for moment in moments(roll, Roll)]


@settings(deadline=None)
@given(rolls, st.floats(-1e6, 1e6))
def test_a_roll_that_is_moved_keeps_its_times_on_the_wall_clock(roll: Roll, seconds: float) -> None:
    after = shifted(roll, seconds)
    assert after.blind_since is None
    before = replace(roll, blind_since=None)
    assert walls(before) == pytest.approx(walls(after), abs=1e-3)
    assert moments(moved(after, Roll, float("inf")), Roll) == [float("inf")] * len(moments(before, Roll))
    assert moved(after, Roll, float("inf")) == moved(before, Roll, float("inf")), "nothing else has changed"


@pytest.mark.parametrize("moment", [codec.LARGEST_FLOAT, -codec.LARGEST_FLOAT])
def test_the_largest_moments_that_are_read_can_be_told_as_a_date(moment: float) -> None:
    assert time.strftime("%Y-%m-%d", time.localtime(moment))
