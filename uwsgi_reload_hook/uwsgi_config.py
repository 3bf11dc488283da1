"""Reads options out of a uWSGI command line and ini text: as much of uWSGI's own rules as finding sockets needs.

Only the Emperor's and the router's options are looked for, and what is found is verified by asking the socket. An
option written in a way not understood here (yaml, xml, json, `for` loops, remote configs) is simply not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath

__all__ = ["Options", "options"]

Options = dict[str, list[str]]

_PLACEHOLDER = re.compile(r"%\(([^)]+)\)")
_VARIABLE = re.compile(r"\$\(([^)]+)\)")
_MAGIC = re.compile(r"%([dpsncv%])")
_DEPTH = 8


def options(
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    read: Callable[[str], str | None],
) -> Options:
    """Collect the options of a uWSGI process: those on its command line, and those in the ini files it names.

    `directory` is where it was started, `read` returns a file's text or None if it cannot be read.
    """
    reader = _Reader(directory, environment, read)
    reader.command_line(arguments[1:])
    return reader.found


class _Reader:
    def __init__(self, directory: str, environment: Mapping[str, str], read: Callable[[str], str | None]) -> None:
        self.found: Options = {}
        self._directory = directory
        self._environment = environment
        self._read = read
        self._depth = 0
        self._last = PurePath(directory)

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
        if name in {"set-ph", "set-placeholder", "set"}:
            name, _, value = value.partition("=")
        if name == "ini":
            self._file(value)
        else:
            self.found.setdefault(name.strip(), []).append(value.strip())

    def _file(self, name: str) -> None:
        name, colon, section = name.rpartition(":")
        if not colon:
            name, section = section, ""
        path = PurePath(self._directory, name) if name else self._last  # `:section` is of the file read last
        self._last = path
        text = self._read(str(path))
        if text is None or self._depth >= _DEPTH:
            return
        self._depth += 1
        for key, value in _entries(text, section or "uwsgi"):
            self._option(key, self._expand(value, path))
        self._depth -= 1

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
        value = _PLACEHOLDER.sub(lambda match: self.found.get(match[1], [match[0]])[-1], value)
        value = _VARIABLE.sub(lambda match: self._environment.get(match[1], match[0]), value)
        return _MAGIC.sub(lambda match: magic[match[1]], value)


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
