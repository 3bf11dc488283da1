"""Makes values of what JSON holds, by their type hints: a document that fits is read, of any other it is said why.

Strict, because a file that has been torn, or that somebody has written by hand, must not become a value that the code
elsewhere trips over: a bool is no number, a number is finite and bounded, no field is made up, and none is passed over.
A field that a dataclass or a named tuple gains is read by its hint; there is no list to keep.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

__all__ = ["LARGEST_FLOAT", "LARGEST_INT", "decode", "marked"]

LARGEST_INT = 1 << 96
"""A file's mtime is the largest number there is: 64-bit seconds, as nanoseconds, take 94 bits."""
LARGEST_FLOAT = 1e12
"""Seconds on either side of 1970, or of the boot: some 30,000 years, which `time.localtime` still takes."""

T = TypeVar("T")
Reader = Callable[[object], Any]


def decode(plain: object, kind: type[T]) -> T:
    """Make a `kind`, a dataclass or a named tuple, of decoded JSON. Raises ValueError that names the place."""
    return cast("T", _reader(cast("Any", kind))(plain))


def marked(kind: type, marker: object) -> tuple[str, ...]:
    """The fields of `kind` whose hint is `Annotated` with `marker`, that or None, or a mapping to such values."""
    return tuple(name for name, hint in _hints(kind).items() if _is_marked(hint, marker))


def _is_marked(hint: object, marker: object) -> bool:
    if get_origin(hint) is Annotated:
        return marker in get_args(hint)[1:]
    return get_origin(hint) in {Union, UnionType, Mapping} and any(_is_marked(one, marker) for one in get_args(hint))


def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - any hint
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _reader(arguments[0])
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
    try:
        plain.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise _expected("text that stands for bytes", plain) from None
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


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    if arguments[-1] is Ellipsis:
        each = _reader(arguments[0])
        return lambda plain: tuple(_at(place, each, one) for place, one in enumerate(_items(plain)))
    readers = [_reader(one) for one in arguments]

    def read(plain: object) -> tuple[Any, ...]:
        items = _items(plain)
        if len(items) != len(readers):
            raise _expected(f"a list of {len(readers)}", plain)
        return tuple(_at(place, one, item) for place, (one, item) in enumerate(zip(readers, items, strict=True)))

    return read


def _set(arguments: tuple[Any, ...]) -> Reader:
    each = _reader(arguments[0])
    return lambda plain: frozenset(_at(place, each, one) for place, one in enumerate(_items(plain)))


def _mapping(arguments: tuple[Any, ...]) -> Reader:
    each = _reader(arguments[1])
    return lambda plain: {_text(key): _at(key, each, one) for key, one in _object(plain).items()}


_COLLECTIONS: Mapping[object, Callable[[tuple[Any, ...]], Reader]] = {
    tuple: _tuple,
    frozenset: _set,
    Mapping: _mapping,
}


def _choice(kind: type[Enum]) -> Reader:
    words = {one.value: one for one in kind}

    def read(plain: object) -> Enum:
        if type(plain) is not str or plain not in words:
            raise _expected(f"one of {', '.join(map(str, words))}", plain)
        return words[plain]

    return read


def _record(kind: Any) -> Reader:  # noqa: ANN401 - a dataclass, or a named tuple
    readers = {name: _reader(hint) for name, hint in _hints(kind).items()}
    needed = _without_default(kind)

    def read(plain: object) -> object:
        document = _object(plain)
        if strange := document.keys() - readers.keys():
            raise ValueError(f"no field is named {reprlib.repr(min(strange))}")
        if missing := needed - document.keys():
            raise ValueError(f"the field {min(missing)} is missing")
        return kind(**{name: _at(name, readers[name], value) for name, value in document.items()})

    return read


def _without_default(kind: Any) -> frozenset[str]:  # noqa: ANN401 - a dataclass, or a named tuple
    if is_dataclass(kind):
        found = fields(kind)
        return frozenset(one.name for one in found if one.default is MISSING and one.default_factory is MISSING)
    return frozenset(set(kind._fields) - set(kind._field_defaults))
