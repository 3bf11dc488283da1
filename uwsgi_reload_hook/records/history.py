"""Adds each roll that has ended to the history."""

from __future__ import annotations

from typing import Protocol

from uwsgi_reload_hook.records.events import Event, RollClosed
from uwsgi_reload_hook.records.status import RollDocument, roll_document

__all__ = ["History", "HistoryStore"]


class HistoryStore(Protocol):
    """What the history needs of a store."""

    def append_history(self, document: RollDocument) -> None:
        """Add a line."""


class History:
    """An observer that writes a line for each roll."""

    def __init__(self, store: HistoryStore) -> None:
        """`store` has the file."""
        self._store = store

    def __call__(self, event: Event) -> None:
        """Write the line once the roll has left the journal, so that no roll has two."""
        if isinstance(event, RollClosed):
            self._store.append_history(roll_document(event.roll))
