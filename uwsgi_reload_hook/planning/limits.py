"""How long a vassal's reload may take, and how long a roll waits for room. Pure.

Each phase ends: in what it waits for, or at one of these limits.
"""

from __future__ import annotations

from uwsgi_reload_hook.planning.progress import Image, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["LOADING", "of_roll", "of_vassal", "words"]

LOADING = 60.0
"""Seconds in which new code has to accept, where `timeout` is not set."""


def of_vassal(progress: Progress, settings: Settings) -> float:
    """Seconds for one reload: `timeout`; where that is not set, the mercy of the old processes and 60 s to load."""
    return _mercy(progress) + LOADING if settings.timeout is None else settings.timeout


def of_roll(roll: Roll, settings: Settings) -> float:
    """Seconds that a roll waits until the minimum spares a vassal: as long as the slowest of its vassals may take."""
    return max((of_vassal(one, settings) for one in roll.vassals.values()), default=settings.timeout or LOADING)


def words(progress: Progress, settings: Settings) -> str:
    """Where the limit of a vassal comes from, and what can be done where that is too short."""
    limit, options = of_vassal(progress, settings), progress.before.options
    waits_for_old = progress.times.restarted is not None and not progress.image.is_new
    mercy = f"{options.mercy_option} lets them run for {options.mercy:g} s"
    if settings.timeout is None:
        source = f"{_mercy(progress):g} s for its old processes and {LOADING:g} s to load" if _mercy(progress) else ""
        return f"timeout of {limit:g} s reached" + (f": {source}" if source else "")
    if waits_for_old and limit <= options.mercy:
        return f"timeout of {limit:g} s reached, and {mercy}: raise reload-hook-timeout above that, or lower the mercy"
    return f"timeout of {limit:g} s reached"


def _mercy(progress: Progress) -> float:
    """A process that the Emperor starts anew has no old ones to wait for."""
    return 0.0 if progress.image is Image.NEW_PROCESS else progress.before.options.mercy
