"""What uWSGI puts into a config's values: magic variables (`%n`), the environment, files, and other options.

Each rule is that of the C source, its oddities too, because a value that uWSGI leaves alone names another socket than
one that it expands. A value that cannot be known holds `UNKNOWN` in place of the part that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

__all__ = ["UNKNOWN", "Budget", "ExceededError", "MagicVariables", "calculate", "expand"]

UNKNOWN = "\ud800"
"""Stands for text that cannot be known: half of a surrogate pair, which no decoded file and no argument holds."""
VALUE = 1 << 16
"""Characters of one value: a path has 4096, the longest list of environment variables not many more."""
_MAGIC = re.compile(r"%([\s\S]?)")
_LEADING = re.compile(r"\s*([+-]?[0-9]{1,9})(?![0-9])|(?!\s*[+-]?[0-9])()")


class ExceededError(Exception):
    """A bound is reached, so the reading ends here."""


class Budget:
    """Characters, values or files that may still be spent: a tenant writes the configs, so that nothing is endless."""

    def __init__(self, left: int) -> None:
        """`left` is how many there are."""
        self._left = left

    def spend(self, count: int) -> None:
        """Take some away. Raises ExceededError where there are not that many left."""
        self._left -= count
        if self._left < 0:
            raise ExceededError


class MagicVariables:
    """The table of `%` and a letter: uWSGI has one, and each config that it opens changes it (core/uwsgi.c)."""

    def __init__(self, directory: str, hostname: str | None) -> None:
        """`directory` is where the process was started."""
        self._table = {"%": "%", "(": "%(", "[": "\033", "v": directory, "h": hostname or UNKNOWN}
        self._table |= dict.fromkeys("tTVkuUgG", UNKNOWN)  # clock, version, CPUs, user and group of its start
        self._is_first = True

    def name(self, path: str, section: str | None, *, written: str, main: bool) -> None:
        """Set the variables of a config; `main` = the first such one sets the capital letters too.

        `written` is how the config was named, without its section. The empty one is that of a section alone, which
        keeps the variables of the file before.
        """
        self._table |= {"o": written, "x": section or ""}
        if written:
            at = PurePosixPath(path)
            steps = at.parent.parts[1:11]
            self._table |= dict.fromkeys("0123456789", "") | {str(index): step for index, step in enumerate(steps)}
            stem, dot, extension = at.name.rpartition(".")
            self._table |= {
                "p": path,
                "s": at.name,
                "d": f"{str(at.parent).rstrip('/')}/",
                "c": at.parent.name,
                "n": stem if dot else at.name,
                "e": extension if dot else "",
                **dict.fromkeys("bij", UNKNOWN),  # binary, inode and hash
            }
        if main and self._is_first:
            self._table |= {letter.upper(): self._table[letter] for letter in "odspcenxij"}
            self._is_first = False

    def put_into(self, text: str, budget: Budget) -> str:
        """Replace each variable. One that does not exist is empty, and a lone `%` at the end joins what follows."""
        parts, end = [], 0
        for found in _MAGIC.finditer(text):
            value = self._table.get(found[1], "") if found[1] else UNKNOWN
            budget.spend(len(value) + found.start() - end)
            parts += [text[end : found.start()], value]
            end = found.end()
        budget.spend(len(text) - end)
        return "".join([*parts, text[end:]])


def expand(value: str, symbol: str, answer: Callable[[str], str | None], budget: Budget) -> str:
    """Replace `$(name)`, `@(name)` or `%(name)` by what `answer` gives; None leaves it as it is.

    After each replacement uWSGI looks at the whole value again, from its second character on (core/utils.c,
    uwsgi_apply_config_pass). Of nested ones it takes the innermost.
    """
    opening, marks = f"{symbol}(", re.compile(rf"[()]|\{symbol}")
    start = value.find(opening)
    while start >= 0:
        end = _closing(value, start + 2, marks)
        if end < 0:
            start = value.find(opening, start + 2)
            continue
        name = value[start + 2 : end]
        text = answer(name) if name else None
        if text is None:
            start = value.find(opening, end + 1)
            continue
        budget.spend(len(value) + len(text))
        value = value[:start] + text + value[end + 1 :]
        if len(value) > VALUE:
            raise ExceededError
        start = value.find(opening, 1)
    return value


def _closing(value: str, start: int, marks: re.Pattern[str]) -> int:
    """Where the parenthesis closes; -1 where the end, or another symbol, comes before."""
    depth = 0
    for found in marks.finditer(value, start):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")" and depth:
            depth -= 1
        else:
            return found.start() if found[0] == ")" else -1
    return -1


def calculate(words: str, answer: Callable[[str], str | None]) -> str | None:
    """The value of `%(words)`: an option's name, or several with operators between (uwsgi_manage_placeholder).

    Without an operator they are put together, and each word after that begins anew. None = it is left as it is.
    """
    if " " not in words:
        return answer(words)
    result: str | None = None
    operator = ""
    for word in filter(None, words.split(" ")):
        if word in _STEPS:
            result = None if result is None else _compute(result, "+", _STEPS[word])
            operator = ""
        elif word in _OPERATORS:
            operator = word
        else:
            value = word if word.isascii() and word.isdecimal() else answer(word) or ""
            result = _compute(result or "", operator, value) if operator else (result or "") + value
            operator = ""
    return result


_STEPS = {"++": "1", "--": "-1"}
_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "/": lambda left, right: 0 if not right else abs(left) // abs(right) * (1 if left * right > 0 else -1),
}


def _compute(left: str, operator: str, right: str) -> str:
    """Compute as C does with 64 bits; what starts with no digit is 0, and what has more than 9 digits is not known."""
    numbers = [_LEADING.match(text) for text in (left, right)]
    if UNKNOWN in left + right or not all(numbers):
        return UNKNOWN
    first, second = (int(found[1] or 0) for found in numbers if found)
    return str(_OPERATORS[operator](first, second))
