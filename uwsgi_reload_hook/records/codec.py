"""Turns records (dataclasses and named tuples, one inside another) into JSON, and reads them back by their type hints.

Only the fields of a record that differ from their defaults are written. A new field is written, read and moved to
another clock by its type hint, so that there is no list of fields to maintain.

Reading is strict, so that a torn or edited file fails here and not in other code: a bool is no number, a number is
finite and bounded, and every field is known. Only a document (a TypedDict) may have unknown fields, because a later
version may add some; they are kept as they are.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["LARGEST_FLOAT", "LARGEST_INT", "decode", "hints", "plain", "words", "written"]

LARGEST_INT = 1 << 96
"""The largest number is a file's mtime: 64-bit seconds, as nanoseconds, take 94 bits."""
LARGEST_FLOAT = 1e13
"""Seconds before or after 1970, or the boot: some 300,000 years, which `time.localtime` still accepts."""

T = TypeVar("T")
Reader = Callable[[object], Any]


def decode(plain: object, kind: type[T]) -> T:
    """Make a record of type `kind` from decoded JSON. Raises ValueError that names the place."""
    return cast("T", _reader(cast("Any", kind))(plain))


def plain(value: object) -> object:
    """The `default` of `json.dumps` for records; the encoder calls it for each record, Enum and set inside too."""
    if isinstance(value, frozenset):
        return sorted(value)
    return value.value if isinstance(value, Enum) else written(value)


def written(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    """The fields of a record that differ from their defaults, for `json.dumps` with `plain`."""
    names, defaults, folded = _shape(cast("Any", type(record)))
    values = record if isinstance(record, tuple) else [getattr(record, name) for name in names]
    return {
        name: _unfolded(value) if name in folded else value
        for name, value, default in zip(names, values, defaults, strict=True)
        if value != default
    }


def _unfolded(value: Any) -> Any:  # noqa: ANN401 - any value of a field
    """Make objects of the named tuples in a value, because the encoder would write them as lists."""
    if isinstance(value, tuple):
        return written(value) if hasattr(value, "_fields") else [*map(_unfolded, value)]
    return {name: _unfolded(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _is_folded(hint: object) -> bool:
    return hasattr(hint, "_fields") or any(map(_is_folded, get_args(hint)))


@cache
def hints(kind: type) -> Mapping[str, Any]:
    """The fields of a record with their type hints, including `Annotated`."""
    return get_type_hints(kind, include_extras=True)


@cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - any hint
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _within(_reader(arguments[0]), [one for one in arguments[1:] if isinstance(one, Sequence)])
    if origin in {Union, UnionType}:
        (inner,) = (one for one in arguments if one is not NoneType)
        read = _reader(inner)
        return lambda plain: None if plain is None else read(plain)
    if origin in _COLLECTIONS:
        return _COLLECTIONS[origin](arguments)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if issubclass(hint, Enum):
        return _choice(hint)
    return _record(hint)


def _expected(what: str, plain: object) -> ValueError:
    return ValueError(f"{what} is expected, not {reprlib.repr(plain)}")


def _text(plain: object) -> str:
    if type(plain) is not str:
        raise _expected("text", plain)
    return plain


def _flag(plain: object) -> bool:
    if type(plain) is not bool:
        raise _expected("true or false", plain)
    return plain


def _whole(plain: object) -> int:
    if type(plain) is not int or abs(plain) > LARGEST_INT:
        raise _expected("a whole number of up to 96 bits", plain)
    return plain


def _number(plain: object) -> float:
    if type(plain) not in {int, float}:
        raise _expected("a number", plain)
    number = cast("int | float", plain)
    if not abs(number) <= LARGEST_FLOAT or math.isnan(number):
        raise _expected(f"a number up to {LARGEST_FLOAT:g}", plain)
    return float(number)


_SCALARS: Mapping[object, Reader] = {str: _text, bool: _flag, int: _whole, float: _number}


def words(kind: type[Enum]) -> tuple[str, ...]:
    """The values of an Enum, for `Annotated`, which limits the values that are read to them."""
    return tuple(one.value for one in kind)


def _within(read: Reader, limits: list[Sequence[object]]) -> Reader:
    """Limit a reader to the values that are in each of `limits`."""
    if not limits:
        return read

    def limited(plain: object) -> object:
        value = read(plain)
        for limit in limits:
            if value not in limit:
                listed = f"{limit[0]} to {limit[-1]}" if isinstance(limit, range) else ", ".join(map(str, limit))
                raise _expected(f"one of {listed}", plain)
        return value

    return limited


def _items(plain: object) -> list[object]:
    if type(plain) is not list:
        raise _expected("a list", plain)
    return plain


def _object(plain: object) -> dict[str, object]:
    if type(plain) is not dict:
        raise _expected("an object", plain)
    return plain


def _at(place: object, read: Reader, plain: object) -> Any:  # noqa: ANN401 - whatever is read
    try:
        return read(plain)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _list(arguments: tuple[Any, ...]) -> Reader:
    each = _reader(arguments[0])
    return lambda plain: [_at(place, each, one) for place, one in enumerate(_items(plain))]


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    if arguments[-1] is Ellipsis:
        several = _list(arguments)
        return lambda plain: tuple(several(plain))
    readers = [_reader(one) for one in arguments]

    def read(plain: object) -> tuple[Any, ...]:
        items = _items(plain)
        if len(items) != len(readers):
            raise _expected(f"a list of {len(readers)}", plain)
        return tuple(_at(place, one, item) for place, (one, item) in enumerate(zip(readers, items, strict=True)))

    return read


def _set(arguments: tuple[Any, ...]) -> Reader:
    several = _list(arguments)
    return lambda plain: frozenset(several(plain))


def _mapping(arguments: tuple[Any, ...]) -> Reader:
    each = _reader(arguments[1])
    return lambda plain: {_text(key): _at(key, each, one) for key, one in _object(plain).items()}


_COLLECTIONS: Mapping[object, Callable[[tuple[Any, ...]], Reader]] = {
    list: _list,
    tuple: _tuple,
    frozenset: _set,
    dict: _mapping,
    Mapping: _mapping,
}


def _choice(kind: type[Enum]) -> Reader:
    words = {one.value: one for one in kind}

    def read(plain: object) -> Enum:
        if type(plain) is not str or plain not in words:
            raise _expected(f"one of {', '.join(map(str, words))}", plain)
        return words[plain]

    return read


def _record(kind: Any) -> Reader:  # noqa: ANN401 - a record's type
    readers = {name: _reader(hint) for name, hint in hints(kind).items()}
    document = is_typeddict(kind)
    needed = (
        kind.__required_keys__
        if document
        else {name for name, default in _defaults(kind).items() if default is MISSING}
    )

    def read(plain: object) -> object:
        found = _object(plain)
        strange = found.keys() - readers.keys()
        if strange and not document:
            raise ValueError(f"no field is named {reprlib.repr(min(strange))}")
        if missing := needed - found.keys():
            raise ValueError(f"the field {min(missing)} is missing")
        known = {name: _at(name, readers[name], value) for name, value in found.items() if name in readers}
        return {**found, **known} if document else kind(**known)

    return read


@cache
def _shape(kind: Any) -> tuple[tuple[str, ...], tuple[Any, ...], frozenset[str]]:  # noqa: ANN401 - a record's type
    """The fields, their defaults (MISSING where there is none), and those in which there are named tuples."""
    defaults = _defaults(kind)
    folded = frozenset(name for name, hint in hints(kind).items() if _is_folded(hint))
    return tuple(defaults), tuple(defaults.values()), folded


def _defaults(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a record's type
    if not is_dataclass(kind):
        return {name: kind._field_defaults.get(name, MISSING) for name in kind._fields}
    return {one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(kind)}
