"""The conditions and loops of a config (`if-env`, `for`, …): how often an option within one counts (core/config.c)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN
from uwsgi_reload_hook.uwsgi.options import Start

__all__ = ["CONDITIONS", "ENDS", "Facts", "outcomes"]

_LOOPS = frozenset({"for", "for-glob", "for-times", "for-readline"})
_TESTS = ("env", "opt", "exists", "file", "dir", "directory", "hostname", "hostname-match", "plugin", "reload")
_NEGATIONS = frozenset(f"if-not-{one}" for one in _TESTS if one != "directory")
_OLD = {f"if{one}": one for one in ("env", "exists", "dir", "plugin")}
CONDITIONS = _LOOPS | _NEGATIONS | {f"if-{one}" for one in _TESTS} | _OLD.keys()
ENDS = frozenset({"end", "endif", "end-if", "endfor", "end-for"})
_LINE = 1023
"""Bytes that uWSGI reads of a line at once, where it loops over those of a file."""

Outcomes = Iterable[tuple[bool, str | None]]
"""For each time that an option counts: whether that is certain, and what `%(_)` stands for; None = itself."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conditions ask for."""

    start: Start
    variable: Callable[[str], str | None]
    option: Callable[[str], str | None]
    read: Callable[[str], str | None]


def outcomes(name: str, argument: str, facts: Facts) -> Outcomes:
    """Tell how often an option counts that stands within the condition `name = argument`."""
    if name in _LOOPS:
        return _turns(name, argument, facts)
    negated = name in _NEGATIONS
    test = _OLD.get(name) or name.removeprefix("if-not-" if negated else "if-")
    holds, chosen = (None, UNKNOWN) if UNKNOWN in argument else _test(test, argument, facts)
    if holds is None:
        return [(False, chosen)]
    return [(True, chosen)] if holds is not negated else []


def _turns(name: str, argument: str, facts: Facts) -> Outcomes:
    if name == "for-glob" or UNKNOWN in argument:
        return [(False, UNKNOWN)]
    if name == "for":
        return [(True, word) for word in argument.split(" ") if word]
    if name == "for-times":
        digits = argument[: len(argument) - len(argument.lstrip("0123456789"))]
        return ((True, str(number)) for number in range(1, int(digits[:9] or 0) + 1))
    text = facts.read(posixpath.join(facts.start.directory, argument))
    if text is None or any(len(line) > _LINE // 4 for line in text.split("\n")):  # a character may be four bytes
        return [(False, UNKNOWN)]
    return [(True, line.rstrip("\r")) for line in text.removesuffix("\n").split("\n")] if text else []


def _test(test: str, argument: str, facts: Facts) -> tuple[bool | None, str | None]:
    """Whether a test holds, None = not known; and what `%(_)` stands for."""
    if test in {"env", "opt"}:
        name, equals, wanted = argument.partition("=")
        value = (facts.variable if test == "env" else facts.option)(name)
        if value is not None and UNKNOWN in value:
            return None, UNKNOWN
        return value is not None and (not equals or value == wanted), value
    if test == "hostname":
        hostname = facts.start.hostname
        return None if hostname is None else hostname == argument, argument
    if test in {"exists", "file", "dir", "directory"}:
        path = posixpath.join(facts.start.directory, argument)
        return facts.start.exists(path, "dir" if test == "directory" else test), argument
    return None, None if test == "reload" else argument
