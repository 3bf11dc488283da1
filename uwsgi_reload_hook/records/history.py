"""Appends each roll that has ended to the history."""

from __future__ import annotations

from collections.abc import Callable

from uwsgi_reload_hook.records.events import Event, RollClosed
from uwsgi_reload_hook.records.status import RollDocument, roll_document

__all__ = ["History"]


class History:
    """An observer that writes a line for each roll."""

    def __init__(self, append: Callable[[RollDocument], None]) -> None:
        """`append` writes a line."""
        self._append = append

    def __call__(self, event: Event) -> None:
        """Write the line once the roll has left the journal, so that no roll has two."""
        if isinstance(event, RollClosed):
            self._append(roll_document(event.roll))
