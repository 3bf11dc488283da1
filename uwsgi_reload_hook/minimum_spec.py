"""The option minimum-active-vassals: how many vassals of each subscription key must serve."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LARGEST", "ONE", "Minimum", "is_whole", "join_minimums", "parse_minimum"]

LARGEST = 999_999_999
"""Of any number given: as seconds some thirty years, and near the longest that a lock can wait."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """How many vassals of a subscription key must serve: a number, or a percentage of them rounded up."""

    value: int
    percent: bool = False
    by_key: tuple[tuple[str, Minimum], ...] = ()
    """Globs of keys with a minimum of their own, and that minimum; of several that match a key, the last one holds."""

    def of(self, total: int, key: str = "") -> int:
        """The number for a key that has `total` vassals."""
        for glob, minimum in reversed(self.by_key):
            if fnmatch.fnmatchcase(key, glob):
                return minimum.of(total)
        return math.ceil(total * self.value / 100) if self.percent else self.value

    def __str__(self) -> str:
        """Render as it is written in an ini."""
        value = f"{self.value}%" if self.percent else str(self.value)
        return ", ".join([value, *(f"{glob}={minimum}" for glob, minimum in self.by_key)])


ONE = Minimum(1)
"""The minimum of a key for which none is given."""


def is_whole(text: str) -> bool:
    """Whether these are a few plain digits: `isdecimal` alone is true of other scripts', and `int` has a limit."""
    return text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST))


def parse_minimum(text: str) -> tuple[str, Minimum]:
    """Read `NUMBER` or `N%`, or one of them after `KEY=`; returns the glob of keys too, empty = every key.

    Raises ValueError that says what is accepted.
    """
    key, equals, number = (part.strip() for part in text.rpartition("="))
    if equals and not key:
        raise ValueError("the subscription key, or a glob of keys, before the =, as in blog=0")
    percent = number.endswith("%")
    digits = number[:-1].strip() if percent else number
    if not is_whole(digits) or (percent and int(digits) > 100):  # noqa: PLR2004 - a hundred per cent
        raise ValueError(
            "a whole number, 0 or more, or a percentage from 0% to 100% (written 50%% in an ini); for some keys alone "
            "after KEY=, as in blog=0"
        )
    return key, Minimum(int(digits), percent)


def join_minimums(given: Sequence[tuple[str, Minimum]]) -> Minimum:
    """Join the minimum of every key, 1 if none is given, with those of some keys. Raises ValueError as above."""
    bare = [minimum for key, minimum in given if not key]
    if len(bare) > 1:
        raise ValueError("one of them for every key, and the others as KEY=VALUE")
    every = bare[0] if bare else ONE
    return Minimum(every.value, every.percent, tuple((key, minimum) for key, minimum in given if key))
