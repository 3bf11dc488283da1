"""The files beside the trigger: the status, the journal for the next hook, and the history."""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.records.directories import UntrustedError
from uwsgi_reload_hook.records.files import Directory
from uwsgi_reload_hook.records.journal import Journal, encode
from uwsgi_reload_hook.records.journal import decode as decode_journal
from uwsgi_reload_hook.records.status import (
    HookInfo,
    RollDocument,
    StatusDocument,
    history_name,
    journal_name,
    roll_document,
    status_document,
    status_name,
)
from uwsgi_reload_hook.records.status_reader import LIMIT, StatusError, decode

__all__ = ["HookInfo", "Store", "roll_document", "status_document"]

log = logging.getLogger(__name__)


READABLE = 0o644
PRIVATE = 0o600
JOURNAL_LIMIT = 64 * 2**20
"""Bytes; the journal of a roll of 1,000 vassals has about 1 MB."""
OWED_LINES = 100
"""Lines of the history kept in memory while they cannot be written; older ones are lost."""


class Store:
    """Writes the files of one trigger. What cannot be written now is written by a later call of `flush`."""

    def __init__(self, directory: Path, name: str, *, private: bool = False) -> None:
        """`name` is the trigger's file name. Raises ConfigError if the directory cannot be written to."""
        self._directory = Directory(directory, private=private)
        self._status = status_name(name)
        self._journal = journal_name(name)
        self._history = history_name(name)
        self._owed: dict[str, str | None] = {}
        """File name to the text that is still to be written; None = the file is to be removed."""
        self._lines: deque[str] = deque(maxlen=OWED_LINES)
        """Lines still to be appended to the history."""
        self._complaints: set[str] = set()
        """The errors that were logged since the last success, so that each is logged once."""
        self._put_aside: set[str] = set()
        """The names of the files that were set aside, which is logged once for each."""
        if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
            raise ConfigError(
                f"the state directory {directory} cannot be written to by user {os.geteuid()}; "
                "set reload-hook-state-directory to one that can"
            )
        try:
            self._directory.check()
        except OSError as error:
            raise ConfigError(
                f"the state directory {directory} is not used, because {error.strerror}; "
                "set reload-hook-state-directory to another one"
            ) from error

    def write_status(self, document: StatusDocument) -> None:
        """Replace the status file."""
        self._put(self._status, json.dumps(document, indent=1) + "\n")

    def read_status(self) -> StatusDocument | None:
        """What the status file says; None if there is none to read."""
        try:
            return decode(self._directory.read(self._status, LIMIT))
        except (OSError, StatusError):
            return None

    def last_roll(self) -> RollDocument | None:
        """The last roll that ended, as the status file has it; None if there is none to read."""
        status = self.read_status()
        return None if status is None or status["roll"] is None or status["roll"]["result"] is None else status["roll"]

    def write_journal(self, journal: Journal) -> None:
        """Replace the journal."""
        self._put(self._journal, encode(journal) + "\n")

    def read_journal(self) -> Journal | None:
        """The journal of the previous hook; None if there is none. An unusable one is set aside, with a warning."""
        path = self._directory.path / self._journal
        try:
            return decode_journal(self._directory.read(self._journal, JOURNAL_LIMIT).decode())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            aside = f"{self._journal}.unusable"
            why = error.strerror if isinstance(error, OSError) else error
            log.warning("the journal %s cannot be used (%s): set aside as %s", path, why, aside)
            try:
                self._directory.set_aside(self._journal, aside)
            except OSError as failure:
                log.error("%s cannot be written (%s)", path.with_name(aside), failure.strerror)  # noqa: TRY400
            return Journal()

    def append_history(self, document: RollDocument) -> None:
        """Append the line of a roll that has ended."""
        self._lines.append(json.dumps(document) + "\n")
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before; cheap where there is nothing to write."""
        written = [name for name in self._owed if self._tried(name, self._write)]
        for name in written:
            del self._owed[name]
        if self._lines and self._tried(self._history, self._append):
            self._lines.clear()
        if self._complaints and not self._owed and not self._lines:
            self._complaints.clear()
            self.written_again()

    def _put(self, name: str, text: str | None) -> None:
        self._owed[name] = text
        self.flush()

    def _tried(self, name: str, write: Callable[[str], None]) -> bool:
        """Log a failed write, and go on, because with a full disk finishing the roll matters more than recording it."""
        try:
            try:
                write(name)
            except (UntrustedError, IsADirectoryError) as error:
                self._set_aside(name, error)
                write(name)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason not in self._complaints:
                self._complaints.add(reason)
                self.not_written(self._directory.path / name, reason)
            return False
        return True

    def _write(self, name: str) -> None:
        text = self._owed[name]
        if text is None:
            self._directory.remove(name)
        else:
            self._directory.replace(name, text, PRIVATE if name == self._journal else READABLE)

    def _append(self, name: str) -> None:
        self._directory.append(name, "".join(self._lines), READABLE)

    def _set_aside(self, name: str, error: OSError) -> None:
        """Rename an unusable file, so that a new one can be written. Raises `error` if that fails too."""
        aside = f"{name}.unusable"
        try:
            self._directory.set_aside(name, aside)
        except OSError:
            raise error from None
        if name not in self._put_aside:
            self._put_aside.add(name)
            path = self._directory.path / name
            log.warning("%s cannot be used (%s): set aside as %s, a new one is begun", path, error.strerror, aside)

    def not_written(self, path: Path, reason: str) -> None:
        """Log that a file cannot be written, once for each reason."""
        log.error("%s cannot be written (%s): the hook goes on without it, and tries again later", path, reason)

    def written_again(self) -> None:
        """Log that all files are up to date again."""
        log.warning("the files in %s are written again, and are up to date", self._directory.path)
