"""Journals of any content, to be written and read again: made by the type hints, so that no field is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.records.journal import Journal

__all__ = ["journals", "progresses", "rolls", "strategy"]

T = TypeVar("T")
words = st.text(max_size=8)

_SCALARS: Mapping[object, st.SearchStrategy[Any]] = {
    str: words,
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64),
    float: st.floats(0, 1e9),
    NoneType: st.none(),
}
_COLLECTIONS: Mapping[object, Callable[..., st.SearchStrategy[Any]]] = {
    tuple: lambda first, *rest: (
        st.lists(_of(first), max_size=2).map(tuple) if rest == (Ellipsis,) else st.tuples(*map(_of, (first, *rest)))
    ),
    frozenset: lambda each: st.frozensets(_of(each), max_size=3),
    Mapping: lambda _, each: st.dictionaries(words, _of(each), max_size=3),
}


def strategy(kind: type[T]) -> st.SearchStrategy[T]:
    """Values of a dataclass or a named tuple, every field of any value that its hint allows."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: _of(hint) for name, hint in hints.items()})


def _of(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any hint, one line a kind
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _of(arguments[0])
    if origin in {Union, UnionType}:
        return st.one_of(*map(_of, arguments))
    if origin in _COLLECTIONS:
        return _COLLECTIONS[origin](*arguments)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint is Roll:
        return rolls
    return st.sampled_from(hint) if issubclass(hint, Enum) else strategy(hint)


def _by_its_ids(roll: Roll) -> Roll:
    return replace(roll, vassals={one.id.replace("\0", "0"): _named(one) for one in roll.vassals.values()})


def _named(one: Progress) -> Progress:
    return one._replace(id=one.id.replace("\0", "0"))


progresses = strategy(Progress)
rolls = strategy(Roll).map(_by_its_ids)
journals = strategy(Journal)
