"""Reads options out of a uWSGI command line and ini text: as much of uWSGI's own rules as finding sockets needs.

Only the Emperor's and the router's options are looked for, and what is found is verified by asking the socket. An
option written in a way not understood here (yaml, xml, json, `for` loops, remote configs) is simply not found.

A vassal's config is its tenant's, who may hide from uWSGI what only this module reads (`if-exists`, `if-env`). So all
of it is bounded, and with it the time: what lies beyond a bound is not known, and `FoundOptions.complete` says so.
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
"""Inis that are read: a config that needs more is made by nobody but a program."""
VALUE = 1 << 16
"""Characters of one value: a path has 4096, the longest list of environment variables not many more."""
WHOLE = 1 << 22
"""Characters of all that is read and of all values, each: four files of the longest that is read."""
OPTIONS = 10_000


class FoundOptions(Options):
    """The options that were found, in the order of their lines.

    Conditions (`if-env` and the like) are not judged: an option in one of them counts as given.
    """

    complete: bool = True
    """False where there may be more: a file could not be read, or in no way known here, or a bound was reached."""


class _Enough(Exception):  # noqa: N818 - no error: the reading ends here
    """A bound is reached."""


def options(
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    read: Callable[[str], str | None],
) -> FoundOptions:
    """Collect the options of a uWSGI process: those on its command line, and those in the ini files it names.

    `directory` is where it was started, `read` returns a file's text or None if it cannot be read.
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
        """The file and section that is read, and those that have led to it."""
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
        """Take the next word for options that are known to need one; any other is taken for a flag."""
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
        if here in self._under_way or len(self._under_way) >= _DEPTH:  # uWSGI would come to no end either
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
    """Put in what a value refers to, as `sub` does. Raises _Enough before it grows past its bound."""
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
