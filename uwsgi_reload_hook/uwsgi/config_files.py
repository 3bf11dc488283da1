"""The configs that a process loads, by what each is named: which file, which section, which format, which variables."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from uwsgi_reload_hook.uwsgi import config_formats
from uwsgi_reload_hook.uwsgi.config_formats import NotKnownError, Pairs
from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN, Budget, ExceededError, MagicVariables
from uwsgi_reload_hook.uwsgi.options import Start

__all__ = ["FILES", "FORMATS", "WHOLE", "ConfigFiles"]

FILES = 32
"""Configs that are read: one that needs more is made by nobody but a program."""
WHOLE = 1 << 22
"""Characters of all that is read: four files of the longest that is read."""
_DEPTH = 8
FORMATS = {
    "ini": "ini",
    "xml": "xml",
    "xmlconfig": "xml",
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
    "js": "json",
}
"""The format of each option that loads a config, and of each ending of a config that `include` loads."""
_LIBRARIES = {"json": ("libjansson", "libyajl"), "xml": ("libxml2", "libexpat")}


class ConfigFiles:
    """What has been read so far, which the next config depends on: uWSGI keeps the variables of the last one."""

    def __init__(self, start: Start) -> None:
        """Nothing is read yet."""
        self.before: list[str] = []
        self.after: list[str] = []
        """The files whose text uWSGI puts before and after that of each config (`inject-before`, `inject-after`)."""
        self._start = start
        self._magic = MagicVariables(start.directory, start.hostname)
        self._under_way: list[tuple[str, str]] = []
        self._is_main = True
        """Whether no `include` leads to what is read: below one no config counts as the first."""
        self._last_ini = ""
        self._texts: dict[str, str | None] = {}
        self._characters, self._files = Budget(WHOLE), Budget(FILES)

    @property
    def is_reading(self) -> bool:
        """Whether a config is being read."""
        return bool(self._under_way)

    def knows(self, format_: str) -> bool | None:
        """Whether this uWSGI knows the options of a format; None = not known. In a config it passes over the others."""
        told = [self._start.is_linked(library) for library in _LIBRARIES.get(format_, ())]
        return True if not told or True in told else None if None in told else False

    def pairs(self, format_: str, named: str, *, main: bool) -> Iterator[tuple[str, str]]:
        """The names and values of a config, in their order; `main` = its variables may be the capital ones too.

        Raises NotKnownError, and ExceededError at a bound.
        """
        written, colon, section = named.rpartition(":") if ":" in named else (named, "", "")
        path = self.path(written or self._last_ini)
        if UNKNOWN in named or "://" in named or not (written or (format_ == "ini" and self._last_ini)):
            raise NotKnownError(f"the config {named.replace(UNKNOWN, '…')} is no file that can be read")
        if (path, section) in self._under_way:
            raise NotKnownError(f"the config {named} loads itself")
        self._files.spend(1)
        if len(self._under_way) >= _DEPTH:
            raise ExceededError
        self._under_way.append((path, section))
        was_main, self._is_main = self._is_main, self._is_main and main
        try:
            self._magic.name(self._start.resolve(path), section if colon else None, written=written, main=self._is_main)
            text = self._magic.put_into(self._whole(path), self._characters)
            self._last_ini = path if format_ == "ini" else self._last_ini
            yield from self._parsed(format_, text, section if colon else None)
        except NotKnownError as error:
            raise NotKnownError(f"{path}: {error}") from None
        finally:
            self._under_way.pop()
            self._is_main = was_main

    def path(self, name: str) -> str:
        """The path of a file that a process names."""
        return posixpath.join(self._start.directory, name)

    def text(self, path: str) -> str | None:
        """A file's text, None if it cannot be read. Raises ExceededError."""
        if path not in self._texts:
            data = None if UNKNOWN in path else self._start.read(path)
            self._texts[path] = None if data is None else os.fsdecode(data)  # as the command line is decoded
        text = self._texts[path]
        self._characters.spend(len(text or ""))
        return text

    def _whole(self, path: str) -> str:
        texts = [self.text(self.path(one)) for one in (*self.before, path, *self.after)]
        if None in texts:
            raise NotKnownError("it cannot be read")
        return "".join(filter(None, texts))

    def _parsed(self, format_: str, text: str, section: str | None) -> Pairs:
        if format_ == "xml":
            return config_formats.xml(text, section)
        if format_ == "ini":
            return config_formats.ini(text, section or "uwsgi")
        if format_ == "json":
            return config_formats.json_(text, section or "uwsgi")
        return config_formats.yaml(text, section or "uwsgi", libyaml=self._start.is_linked("libyaml"))
