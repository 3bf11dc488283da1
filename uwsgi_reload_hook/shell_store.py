"""What a roll from a shell keeps: a journal in the user's own directory, and a status where a trigger is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.journal import Journal
from uwsgi_reload_hook.state import Store

__all__ = ["ShellStore", "own_journal"]

Complain = Callable[[str], None]

WITHOUT = (
    "the roll is made all the same, but the next reload cannot take it up if this one is killed; "
    "XDG_STATE_HOME can name another place"
)


class ShellStore(Store):
    """Keeps the journal in one store and the rest in another; what has no store is not kept.

    The journal beside a trigger is the hook's, and with it the touch that it acted on last.
    """

    def __init__(self, journal: Store | None, told: Store | None) -> None:
        """`told` is beside the trigger, None if none was named."""
        self._kept = journal
        self._told = told

    def write_status(self, document: Mapping[str, Any]) -> None:
        """Tell whoever follows the trigger."""
        if self._told is not None:
            self._told.write_status(document)

    def last_roll(self) -> Mapping[str, Any] | None:
        """The last roll that is told beside the trigger."""
        return None if self._told is None else self._told.last_roll()

    def append_history(self, document: Mapping[str, Any]) -> None:
        """Add to the history beside the trigger."""
        if self._told is not None:
            self._told.append_history(document)

    def write_journal(self, journal: Journal) -> None:
        """Replace the journal of this user's reloads."""
        if self._kept is not None:
            self._kept.write_journal(journal)

    def read_journal(self) -> Journal | None:
        """The journal of this user's reload before."""
        return None if self._kept is None else self._kept.read_journal()


def own_journal(emperor: str, environment: Mapping[str, str], complain: Complain) -> Store | None:
    """Where this user keeps the journal of the Emperor in the directory `emperor`; None, and said, if it cannot be."""
    name = quote(os.fsencode(Path(emperor).absolute()), safe="")
    try:
        directory = _state_home(environment) / "uwsgi-reload-hook"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _OwnStore(directory, name, complain)
    except OSError as error:
        complain(f"no journal is kept, {error.filename} cannot be made ({error.strerror}): {WITHOUT}")
    except ConfigError:
        complain(f"no journal is kept, {directory} cannot be written to by user {os.geteuid()}: {WITHOUT}")
    except RuntimeError as error:
        complain(f"no journal is kept, user {os.geteuid()} has no home directory ({error}): {WITHOUT}")
    return None


def _state_home(environment: Mapping[str, str]) -> Path:
    """As the XDG Base Directory Specification has it: what is no absolute path counts as not set."""
    given = Path(environment.get("XDG_STATE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local" / "state"


class _OwnStore(Store):
    """Has a journal only as long as a roll is unfinished, and complains once: each step of a roll is written."""

    def __init__(self, directory: Path, name: str, complain: Complain) -> None:
        super().__init__(directory, name)
        self._complain = complain
        self._complained = False

    def write_journal(self, journal: Journal) -> None:
        """Replace it, or remove it: the keys that it holds may be of last year when the next reload comes."""
        if journal.roll is not None:
            super().write_journal(journal)
            return
        with self._said(self._journal):
            self._journal.unlink(missing_ok=True)

    def not_written(self, path: Path, error: OSError) -> None:
        """Say what it means."""
        if not self._complained:
            self._complain(f"the journal {path} cannot be written ({error.strerror}): {WITHOUT}")
        self._complained = True
