"""Finds the Emperors of this host by the process table, for a command that no Emperor has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.settings import PREFIX, Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import own_users
from uwsgi_reload_hook.site.discovery import instance_of
from uwsgi_reload_hook.site.peers import is_listener
from uwsgi_reload_hook.site.sockets import StatsSocket
from uwsgi_reload_hook.users import user
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["running_emperor"]

OPTION = f"{PREFIX}emperor-stats-socket"
STATS = ("emperor-stats", "emperor-stats-server")
NAMED = 5
"""Emperors that an error names, at most."""


def running_emperor(settings: Settings) -> str:
    """The stats socket of the one Emperor that runs here, of root or of this process's user.

    Any user may start an Emperor, so that of another user has to be named. Raises UnavailableError.
    """
    found, others, silent = dict[str, stats.EmperorStats](), list[str](), list[str]()
    for pid, uid in _instances():
        addresses = list(instance_of(pid).values(STATS))
        if not addresses:
            silent.append(f"pid {pid} of {user(uid)} hosts one without emperor-stats-server")
        for address in addresses:
            if uid not in own_users():
                others.append(f"{address} of {user(uid)}")
            elif (answer := _answer(address)) is None:
                silent.append(f"{address}, which pid {pid} was started with, does not answer as one")
            elif _scans(answer, settings.emperor_path):
                found[address] = answer
    if len({answer.pid for answer in found.values()}) == 1:
        return next(iter(found))
    raise UnavailableError(_why_not(sorted(found), sorted({*others, *silent})))


def _why_not(found: list[str], passed_over: list[str]) -> str:
    if found:
        return f"several Emperors run here ({', '.join(found[:NAMED])}): name the stats socket of one by {OPTION}"
    seen = f" ({'; '.join(passed_over[:NAMED])})" if passed_over else ""
    return (
        f"no Emperor of root or of this user was found among the processes here{seen}: set emperor-stats-server in the "
        f"Emperor's config, restart the Emperor, and name that address by {OPTION}"
    )


def _instances() -> Iterator[tuple[int, int]]:
    """The pid and the user of each instance that hosts an Emperor. Its processes have one command line: one counts."""
    seen = set[tuple[object, ...]]()
    for pid in sorted(processes.running("uwsgi")):
        uid = processes.sole_user(pid)
        arguments = tuple(processes.command_line(pid))
        instance = (*arguments, processes.working_directory(processes.parent(pid) or 0) or "", uid)
        above = processes.parent(pid)
        if uid is None or (above and tuple(processes.command_line(above)) == arguments) or instance in seen:
            continue
        if "emperor" in instance_of(pid).options:
            seen.add(instance)
            yield pid, uid


def _answer(address: str) -> stats.EmperorStats | None:
    if not is_listener(address, own_users()):
        return None
    try:
        document = StatsSocket(address).read()
    except UnavailableError:
        return None
    return stats.parse_emperor(document) if stats.is_emperor(document) else None


def _scans(emperor: stats.EmperorStats, path: str | None) -> bool:
    """Whether an Emperor scans a directory or glob; each does where none is given."""
    wanted = path and os.path.realpath(path)
    return not wanted or wanted in {os.path.realpath(Path(emperor.cwd, one)) for one in emperor.monitors}
