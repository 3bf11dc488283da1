"""The first wave of a roll, the canary: it has to live for `canary-time` once it serves, before the rest starts. Pure.

New code that accepts requests and dies a second later shows that within this time, so that one vassal is lost to it.
Each subscription key has a first wave too, because other keys may be of another application.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning.roll import Phase, Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["next_proof", "note", "oldest_watched", "seconds_left", "watched_until"]

SLACK = 1e-6
"""Seconds by which two sums of floats may differ."""


def note(roll: Roll, settings: Settings, now: float) -> Roll:
    """Note when the last vassal of the first wave was done. A roll of fewer vassals is one wave."""
    if roll.canary_done is not None or not settings.canary:
        return roll
    done = len(roll.within(Phase.DONE))
    size = min(settings.canary, len(roll.vassals) - len(roll.within(Phase.WITHDRAWN)))
    return replace(roll, canary_done=now) if 0 < size <= done else roll


def seconds_left(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds that the first wave still has to live; 0 before it is done."""
    return 0.0 if roll.canary_done is None else _left(roll.canary_done, settings, now)


def watched_until(roll: Roll, settings: Settings) -> float:
    """When the first wave will have lived for `canary-time`; the roll's beginning while that is not known."""
    if roll.canary_done is None or not settings.canary_time:
        return roll.started
    return roll.canary_done + settings.canary_time


def oldest_watched(settings: Settings, now: float) -> float:
    """When a vassal has to have been done by now, at the latest, to have lived for `canary-time`."""
    return now - settings.canary_time + SLACK


def next_proof(roll: Roll, settings: Settings, now: float) -> float | None:
    """Seconds until the next of the vassals that are done has lived for `canary-time`; None = there is none."""
    if not settings.canary or not settings.canary_time:
        return None
    oldest, done = oldest_watched(settings, now), Phase.DONE
    watched = [
        one.finished
        for one in roll.vassals.values()
        if one.phase is done and one.finished is not None and one.finished > oldest
    ]
    return min(watched) + settings.canary_time - now if watched else None


def _left(since: float, settings: Settings, now: float) -> float:
    left = since + settings.canary_time - now
    return left if left > SLACK else 0.0
