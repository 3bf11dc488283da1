"""The first wave of a roll, the canary: it has to live for `canary-time` once it serves, before the rest starts. Pure.

New code that accepts requests and dies a second later shows that within this time, so that one vassal is lost to it.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning.roll import Phase, Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["note", "seconds_left"]


def note(roll: Roll, settings: Settings, now: float) -> Roll:
    """Note when the last vassal of the first wave was done. A roll of fewer vassals is one wave."""
    if roll.canary_done is not None or not settings.canary:
        return roll
    done = len(roll.within(Phase.DONE))
    size = min(settings.canary, len(roll.vassals) - len(roll.within(Phase.WITHDRAWN)))
    return replace(roll, canary_done=now) if 0 < size <= done else roll


def seconds_left(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds that the first wave still has to live; 0 before it is done."""
    return 0.0 if roll.canary_done is None else max(0.0, roll.canary_done + settings.canary_time - now)
