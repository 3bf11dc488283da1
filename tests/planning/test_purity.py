"""The planner decides and does nothing: it imports what computes, and calls nothing that reads or writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import uwsgi_reload_hook

PLANNING = sorted(Path(uwsgi_reload_hook.__file__).parent.glob("planning/*.py"))
MAY_BE_IMPORTED = {
    "__future__",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "fnmatch",
    "functools",
    "itertools",
    "math",
    "typing",
}
OWN = (
    "uwsgi_reload_hook.clocks",
    "uwsgi_reload_hook.planning",
    "uwsgi_reload_hook.probe_spec",
    "uwsgi_reload_hook.settings",
    "uwsgi_reload_hook.snapshot",
)
DOES_SOMETHING = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}


@pytest.mark.parametrize("path", PLANNING, ids=lambda path: path.stem)
def test_a_module_of_the_planner_imports_only_what_computes(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name not in MAY_BE_IMPORTED and not name.startswith(OWN)} == set()


@pytest.mark.parametrize("path", PLANNING, ids=lambda path: path.stem)
def test_a_module_of_the_planner_calls_nothing_that_reads_or_writes(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)}
    assert names & DOES_SOMETHING == set()
