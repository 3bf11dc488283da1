"""Which of those that were taken out of service, and not touched yet, the minimum needs again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uwsgi_reload_hook.model import Node, Snapshot, Vassal
from uwsgi_reload_hook.roll import Phase, Progress, Request, Roll
from uwsgi_reload_hook.room import needed

NODE = Node("router", "app", "/run/a.sock", last_check=1000)
DRAINED = Progress("", Phase.DRAINING, keys=frozenset({"app"}), pid=7, nodes=(NODE,), drained=(NODE,))
UP = Vassal("", pid=7, accepting=True)


def needs(minimum: dict[str, int], there: Vassal = UP, drained: Progress = DRAINED) -> str:
    """Of `a` and `b`, both drained, while `c` serves `app`, and `b` and `c` are as usual."""
    a, b = drained._replace(id="a"), DRAINED._replace(id="b")
    seen = {"a": replace(there, id="a"), "b": replace(UP, id="b"), "c": replace(UP, id="c", nodes=(NODE,))}
    roll = Roll("1", Request(1), 0.0, 0.0, {"a": a, "b": b, "c": Progress("c")}, minimum=minimum)
    return "".join(sorted(needed([a, b], Snapshot(1000.0, seen), roll)))


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [({"app": 0}, ""), ({"app": 1}, ""), ({"app": 2}, "b"), ({"app": 3}, "ab"), ({"app": 9}, "ab"), ({"other": 2}, "")],
)
def test_as_many_are_needed_as_the_minimum_lacks_and_the_last_first(minimum: dict[str, int], expected: str) -> None:
    assert needs(minimum) == expected


def test_one_that_is_of_no_use_is_not_needed() -> None:
    assert needs({"app": 3}, there=replace(UP, accepting=False)) == "b", "it has died meanwhile"
    assert needs({"app": 3}, drained=DRAINED._replace(pid=None)) == "b", "it did not serve when it was taken"


def test_one_that_kept_its_traffic_is_needed_too() -> None:
    assert needs({"app": 3}, drained=DRAINED._replace(drained=())) == "ab"


def test_each_of_its_keys_may_need_it() -> None:
    both = DRAINED._replace(nodes=(NODE, replace(NODE, key="other")))
    assert needs({"app": 2, "other": 1}, drained=both) == "ab"
    assert needs({"app": 1, "other": 1}, drained=both) == "a"
