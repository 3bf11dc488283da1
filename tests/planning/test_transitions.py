"""The table of the phases, and its door."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import uwsgi_reload_hook
from tests.support.build import a_progress
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.transitions import NEXT, RECOVERED, enter


@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("after", Phase)
def test_a_phase_follows_another_where_the_table_says_so(before: Phase, after: Phase) -> None:
    for table in (NEXT, RECOVERED):
        if after in table.get(before, ()):
            moved = enter(a_progress("a.ini", before), after, 5.0, "because", table=table)
            assert (moved.phase, moved.since, moved.reason) == (after, 5.0, "because")
            assert moved.times.finished == (5.0 if after.is_over else None)
    if after not in NEXT[before]:
        with pytest.raises(RuntimeError, match=f"a.ini: {before.value} -> {after.value} is no transition"):
            enter(a_progress("a.ini", before), after, 5.0, "because")


def test_what_is_over_stays_over_but_for_one_that_dies_after_it_was_done() -> None:
    assert {phase for phase in Phase if phase.is_over and NEXT[phase]} == {Phase.DONE}
    assert NEXT[Phase.DONE] == {Phase.FAILED}


def test_nothing_else_sets_a_phase() -> None:
    package = Path(uwsgi_reload_hook.__file__).parent
    setters = {
        (path.name, keyword.lineno)
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("_replace")
        for keyword in (one.value for one in call.keywords if one.arg == "phase")
    }
    assert {name for name, _ in setters} == {"transitions.py"}
    assert len(setters) == 1
