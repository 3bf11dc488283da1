"""Reads options from a uWSGI command line and its ini files, by as many of uWSGI's rules as finding sockets needs.

Options in other forms (yaml, xml, json, `for` loops, remote configs) are not found. That does no harm, because a
socket that is found is asked whether it is the right one.

A tenant writes his vassal's config, and can hide from uWSGI what this module reads (`if-exists`, `if-env`). So files,
characters and options are bounded, and with them the time. `FoundOptions.complete` is false if a bound was reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath

__all__ = ["FoundOptions", "Options", "options"]

Options = dict[str, list[str]]

_PLACEHOLDER = re.compile(r"%\(([^()\n]{1,256})\)")
_VARIABLE = re.compile(r"\$\(([^()\n]{1,256})\)")
_MAGIC = re.compile(r"%([dpsncv%])")
_ELSEWHERE = re.compile(r"include|inherit\S*|config|xml|yaml|yml|json|js|sqlite3|ldap")
_DEPTH = 8
FILES = 32
"""Inis that are read, at most: no config written by hand needs more."""
VALUE = 1 << 16
"""Characters of one value: a path has 4096 at most (PATH_MAX)."""
WHOLE = 1 << 22
"""Characters of all files together, and of all values together: four times the longest file that is read."""
OPTIONS = 10_000


class FoundOptions(Options):
    """The options that were found, in the order of their lines.

    Conditions such as `if-env` are not evaluated: an option in any branch counts as set.
    """

    complete: bool = True
    """False = there may be more, because a file could not be read, has an unknown form, or reached a bound."""


class _Enough(Exception):  # noqa: N818 - no error: the reading ends here
    """A bound is reached."""


def options(
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    read: Callable[[str], str | None],
) -> FoundOptions:
    """Collect the options of a uWSGI process: those on its command line, and those in the ini files it names.

    `directory` is where the process was started. `read` returns the text of a file; None = it cannot be read.
    """
    reader = _Reader(directory, environment, read)
    try:
        reader.command_line(arguments[1:])
    except _Enough:
        reader.options.complete = False
    return reader.options


class _Reader:
    def __init__(self, directory: str, environment: Mapping[str, str], read: Callable[[str], str | None]) -> None:
        self.options = FoundOptions()
        self._directory = directory
        self._environment = environment
        self._read = read
        self._under_way: list[tuple[str, str]] = []
        """The file and section that is being read, after those that have included it."""
        self._texts: dict[str, str | None] = {}
        self._left = {"characters": WHOLE, "values": WHOLE, "options": OPTIONS, "sections": FILES}
        self._last = PurePath(directory)

    def _spend(self, what: str, count: int) -> None:
        self._left[what] -= count
        if self._left[what] < 0:
            raise _Enough

    def command_line(self, arguments: Sequence[str]) -> None:
        words = iter(arguments)
        for word in words:
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                self._option(name, value if equals else self._argument(words, name))
            elif word.split(":")[0].endswith(".ini"):
                self._option("ini", word)

    def _argument(self, words: Iterable[str], name: str) -> str:
        """Take the next word as the value of an option that is known to need one; any other option is a flag."""
        return next(iter(words), "") if name == "ini" or name in _WITH_ARGUMENT else "true"

    def _option(self, name: str, value: str) -> None:
        self._spend("options", 1)
        self._spend("values", len(name) + len(value))
        if name in {"set-ph", "set-placeholder", "set"}:
            name, _, value = value.partition("=")
        name, value = name.strip(), value.strip()
        if name == "ini" or (name == "include" and PurePath(value).suffix == ".ini"):
            self._file(value)
            return
        if _ELSEWHERE.fullmatch(name):
            self.options.complete = False
        self.options.setdefault(name, []).append(value)

    def _file(self, name: str) -> None:
        name, colon, section = name.rpartition(":")
        if not colon:
            name, section = section, ""
        path = PurePath(self._directory, name) if name else self._last  # `:section` is of the file read last
        self._last = path
        here = (str(path), section or "uwsgi")
        if here in self._under_way or len(self._under_way) >= _DEPTH:  # for uWSGI this would have no end
            self.options.complete = False
            return
        text = self._text(str(path))
        self._under_way.append(here)
        for key, value in _entries(text, here[1]):
            self._option(key, self._expand(value, path))
        self._under_way.pop()

    def _text(self, path: str) -> str:
        self._spend("sections", 1)
        if path not in self._texts:
            self._texts[path] = self._read(path)
        text = self._texts[path]
        if text is None:
            self.options.complete = False
            return ""
        self._spend("characters", len(text))
        return text

    def _expand(self, value: str, path: PurePath) -> str:
        magic = {
            "d": f"{path.parent}/",
            "p": str(path),
            "s": path.name,
            "n": path.stem,
            "c": path.parent.name,
            "v": self._directory,
            "%": "%",
        }
        value = _replaced(_PLACEHOLDER, value, lambda match: self.options.get(match[1], [match[0]])[-1])
        value = _replaced(_VARIABLE, value, lambda match: self._environment.get(match[1], match[0]))
        return _replaced(_MAGIC, value, lambda match: magic[match[1]])


def _replaced(what: re.Pattern[str], value: str, by: Callable[[re.Match[str]], str]) -> str:
    """Replace the references in a value, as `sub` does. Raises _Enough before the value grows beyond its bound."""
    parts, length, end = [], len(value), 0
    if length > VALUE:
        raise _Enough
    for match in what.finditer(value):
        text = by(match)
        length += len(text) - len(match[0])
        if length > VALUE:
            raise _Enough
        parts += [value[end : match.start()], text]
        end = match.end()
    return "".join([*parts, value[end:]])


def _entries(text: str, section: str) -> Iterable[tuple[str, str]]:
    current = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            current = line.strip("[]")
        elif line and line[0] not in ";#" and current == section:
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


_WITH_ARGUMENT = frozenset(
    {
        "emperor",
        "emperor-stats",
        "emperor-stats-server",
        "set",
        "set-ph",
        "set-placeholder",
        "subscription-tolerance",
        *(
            f"{router}-{option}"
            for router in ("fastrouter", "http", "https", "rawrouter", "sslrouter")
            for option in ("stats", "stats-server", "subscription-server")
        ),
    }
)
