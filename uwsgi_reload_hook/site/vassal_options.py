"""What the options of the vassals say of their reloads, read once for each start of a vassal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.site.sockets import resolve
from uwsgi_reload_hook.snapshot import DEFAULT_OPTIONS, ReloadOptions
from uwsgi_reload_hook.uwsgi.options import Options
from uwsgi_reload_hook.uwsgi.reload_options import checked_keys, log_file, may_rest, reload_options
from uwsgi_reload_hook.uwsgi.stats import VassalStats

__all__ = ["OptionsByVassal", "VassalOptions", "emperor_log"]


@dataclass(frozen=True, slots=True)
class VassalOptions:
    """What one start of a vassal was told."""

    start: tuple[int, int] = (0, 0)
    """The vassal's pid and last run: another one may have other options."""
    reload: ReloadOptions = DEFAULT_OPTIONS
    log: str = ""
    """The file that it logs to; empty = not known."""
    may_rest: bool = False
    """Whether it may be without a worker until a request comes (`cheap`, `idle`)."""
    checks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For each key that it may withhold, the files whose presence has it do so."""

    @property
    def withheld_keys(self) -> frozenset[str]:
        """The keys that it does not announce now."""
        if not self.checks:
            return frozenset()
        return frozenset(key for key, files in self.checks.items() if all(map(_exists, files)))


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


class OptionsByVassal:
    """Remembers the options of each vassal until it is started or reloaded anew.

    The options of one that is down are those of its last start.
    """

    def __init__(self) -> None:
        self._known: dict[str, VassalOptions] = {}

    def of(self, id_: str, entry: VassalStats, config: str) -> VassalOptions:
        """The options of a vassal as the Emperor lists it; `entry` has no pid if it is down."""
        known = self._known.get(id_)
        start = entry.pid, entry.last_run
        if known is None or (entry.pid > 0 and known.start != start):
            known = self._known[id_] = _read(start, config)
        return known

    def last(self, id_: str) -> VassalOptions:
        """The options that were read last."""
        return self._known[id_]

    def keep(self, ids: Iterable[str]) -> None:
        """Forget all vassals but those with these ids."""
        self._known = {id_: self._known[id_] for id_ in ids if id_ in self._known}


def _read(start: tuple[int, int], config: str) -> VassalOptions:
    pid = start[0]
    known = of_vassal(pid, config)
    options = known.as_dict()
    directory = processes.working_directory(pid) or str(Path(config).parent)
    checks = {key: frozenset(resolve(file, directory) for file in files) for key, files in _checked_keys(known).items()}
    log = log_file(options)
    log = resolve(log, directory) if log else ""
    if not (log and _exists(log)):  # one that has just been started writes to its own log a little later
        log = _standard_error(pid) or log
    return VassalOptions(
        start, reload_options(options), log, may_rest(options) or bool(known.why_unknown("cheap", "idle")), checks
    )


def _checked_keys(options: Options) -> Mapping[str, frozenset[str]]:
    """The keys that a vassal may withhold, if it is known what it announces: else all of them are waited for."""
    return (
        {} if options.why_unknown("subscribe2", "subscribe-to", "st", "subscribe") else checked_keys(options.as_dict())
    )


def emperor_log(pid: int) -> str:
    """The file that an Emperor logs to, and with it each vassal whose options name no other; empty = not known."""
    return _standard_error(pid)


def _standard_error(pid: int) -> str:
    """The path of the file that a process writes its errors to; empty = it is no file, or cannot be read."""
    try:
        path = os.readlink(f"/proc/{pid}/fd/2")  # noqa: PTH115 - a text
    except OSError:
        return ""
    return path.removesuffix(" (deleted)") if path.startswith("/") and not path.startswith("/dev/") else ""
