"""The journal of a roll from a shell, in the user's own directory, because the one beside a trigger is the hook's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.records.directories import UntrustedError
from uwsgi_reload_hook.records.files import Directory, make_private
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.store import Store

__all__ = ["NoJournal", "own_journal"]

Complain = Callable[[str], None]

WITHOUT = (
    "the roll is made all the same, but if it is killed the next reload cannot resume it; XDG_STATE_HOME can name "
    "another directory"
)


class NoJournal:
    """A store that keeps nothing, for a user without a directory for the journal."""

    def write_journal(self, journal: Journal) -> None:
        """Keep nothing."""

    def read_journal(self) -> None:
        """There is none."""

    def flush(self) -> None:
        """Nothing waits to be written."""


def own_journal(emperor: str, environment: Mapping[str, str], complain: Complain) -> Store | None:
    """Open this user's journal for the Emperor in the directory `emperor`; None, after a complaint, if that fails."""
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
    """XDG_STATE_HOME or its default; a relative path counts as not set (XDG Base Directory Specification)."""
    given = Path(environment.get("XDG_STATE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local" / "state"


class _OwnStore(Store):
    """Keeps the journal only while a roll is unfinished, in a directory of this user alone."""

    def __init__(self, directory: Path, name: str, complain: Complain) -> None:
        super().__init__(directory, name, private=True)
        self._complain = complain

    def write_journal(self, journal: Journal) -> None:
        """Replace the journal, or remove it after a roll, because its keys may be a year old at the next reload."""
        if journal.roll is not None:
            super().write_journal(journal)
        else:
            self._put(self._journal, None)

    def not_written(self, path: Path, reason: str) -> None:
        """Complain, and say what that means."""
        self._complain(f"the journal {path} cannot be written ({reason}): {WITHOUT}")

    def written_again(self) -> None:
        """Say that the next reload can resume this one after all."""
        self._complain("the journal is written again")
