"""The trigger file: it is watched through watchdog, and its text may restrict the roll."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer, api

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.planning.roll import Request
from uwsgi_reload_hook.printable import printable
from uwsgi_reload_hook.site.trigger_file import read

__all__ = ["Trigger", "parse_text"]

log = logging.getLogger(__name__)

TEXT_LIMIT = 4096
VALUE_LIMIT = 256
_READING = frozenset({"opened", "closed_no_write"})


def parse_text(text: str) -> dict[str, str]:
    """Read `message`, `request-id` and `only` from the trigger's text, which is not trusted.

    Each line is one `key=value`; other lines are ignored. What cannot be printed is escaped, and a value is cut at 256
    characters.
    """
    fields = {}
    for line in text[:TEXT_LIMIT].splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() in {"message", "request-id", "only"}:
            fields[key.strip()] = printable(value.strip())[:VALUE_LIMIT]
    return fields


class Trigger:
    """Calls `notify` when the file is touched, written, created, or replaced by a rename.

    Its directory is watched, because a watch on the file itself ends when the file is replaced. Where the trigger is a
    symlink, the directory of its target is watched too. `notify` is called from watchdog's thread, several times for
    one touch.
    """

    def __init__(self, path: str, notify: Callable[[], None]) -> None:
        """Raises ConfigError if `path` is a directory, or is in none."""
        self.path = Path(path).absolute()
        if not _is_directory(self.path.parent):
            raise ConfigError(
                f"reload-hook-trigger = {path}: the directory {self.path.parent} does not exist; create it, let user "
                f"{os.geteuid()} look into it, or give another path"
            )
        if _is_directory(self.path):
            raise ConfigError(f"reload-hook-trigger = {path}: this is a directory; give the path of a file")
        self._notify = notify
        self._observer: api.BaseObserver | None = None
        self._complaint = ""
        logging.getLogger("watchdog.observers.inotify").addFilter(_is_news)

    def start(self) -> None:
        """Begin to watch. Log a warning where the system has no watch left: the mtime is polled all the same."""
        real = Path(os.path.realpath(self.path))
        handler = _Handler({os.fspath(self.path), os.fspath(real)}, self._notify)
        directories = {self.path.parent, real.parent} if _is_directory(real.parent) else {self.path.parent}
        try:
            self._observer = Observer()  # not earlier, because some versions start a thread here
            for directory in sorted(directories):
                self._observer.schedule(handler, os.fspath(directory))
            self._observer.start()
        except OSError as error:
            log.warning(
                "the directory of %s cannot be watched (%s); its mtime is looked at every few seconds instead",
                self.path,
                error.strerror or error,
            )

    def stop(self) -> None:
        """End watchdog's threads, also after a start that has failed halfway."""
        if self._observer is None:
            return
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()
        self._observer = None

    def request(self) -> Request | None:
        """The request in the file's present mtime and text; None = there is no plain file. It never blocks."""
        state = read(self.path, TEXT_LIMIT * 4)  # as many bytes as a character has in UTF-8
        self._complain(state.complaint)
        if state.status is None:
            return None
        fields = parse_text(state.text.decode("utf-8", errors="replace"))
        return Request(
            mtime_ns=state.status.st_mtime_ns,
            inode=state.status.st_ino,
            request_id=fields.get("request-id", ""),
            message=fields.get("message", ""),
            only=fields.get("only") or "*",
            changed_ns=state.status.st_ctime_ns,
        )

    def _complain(self, complaint: str) -> None:
        """Log a complaint when it is new, because the trigger is read every few seconds."""
        if complaint and complaint != self._complaint:
            log.warning("%s", complaint)
        self._complaint = complaint


def _is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where this user may not look


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the error that watchdog logs when it is stopped with events pending: the mtime shows a touch too."""
    return "called when the thread is inactive" not in record.getMessage()


class _Handler(FileSystemEventHandler):
    def __init__(self, names: set[str], notify: Callable[[], None]) -> None:
        self._names = names
        self._notify = notify

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Notify of events that may have changed the file."""
        destination = getattr(event, "dest_path", "")  # before watchdog 4 only a move has one
        paths = {os.fsdecode(event.src_path), os.fsdecode(destination)}
        if event.event_type not in _READING and paths & self._names:
            self._notify()
