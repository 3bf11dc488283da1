"""What a roll from a shell keeps: a journal in the user's own directory, and a status where a trigger is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.records.directories import UntrustedError
from uwsgi_reload_hook.records.files import Directory, make_private
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.status import RollDocument, StatusDocument
from uwsgi_reload_hook.records.store import Store

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

    def write_status(self, document: StatusDocument) -> None:
        """Tell whoever follows the trigger."""
        if self._told is not None:
            self._told.write_status(document)

    def last_roll(self) -> RollDocument | None:
        """The last roll that is told beside the trigger."""
        return None if self._told is None else self._told.last_roll()

    def append_history(self, document: RollDocument) -> None:
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

    def flush(self) -> None:
        """Write what could not be written so far, in both."""
        for store in (self._kept, self._told):
            if store is not None:
                store.flush()


def own_journal(emperor: str, environment: Mapping[str, str], complain: Complain) -> Store | None:
    """Where this user keeps the journal of the Emperor in the directory `emperor`; None, and said, if it cannot be."""
    name = quote(os.fsencode(Path(emperor).absolute()), safe="")
    try:
        directory = _state_home(environment) / "uwsgi-reload-hook"
        make_private(directory)
        Directory(directory, private=True).check()
        return _OwnStore(directory, name, complain)
    except UntrustedError as error:
        complain(f"no journal is kept in {directory}, because {error.strerror}: {WITHOUT}")
    except OSError as error:
        complain(f"no journal is kept, {directory} cannot be made ({error.strerror}): {WITHOUT}")
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
    """Has a journal only as long as a roll is unfinished, in a directory of this user alone."""

    def __init__(self, directory: Path, name: str, complain: Complain) -> None:
        super().__init__(directory, name, private=True)
        self._complain = complain

    def write_journal(self, journal: Journal) -> None:
        """Replace it, or remove it: the keys that it holds may be of last year when the next reload comes."""
        if journal.roll is not None:
            super().write_journal(journal)
        else:
            self._put(self._journal, None)

    def not_written(self, path: Path, reason: str) -> None:
        """Say what it means."""
        self._complain(f"the journal {path} cannot be written ({reason}): {WITHOUT}")

    def written_again(self) -> None:
        """Say that the next reload can take this one up after all."""
        self._complain("the journal is written again")
