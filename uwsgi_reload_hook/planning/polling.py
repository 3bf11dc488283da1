"""How long to wait for the next look: short where a change is milliseconds away, long while an application loads."""

from __future__ import annotations

from uwsgi_reload_hook.planning import canary
from uwsgi_reload_hook.planning.roll import Phase, Progress, Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["pause"]

AT_ONCE = 0.0
"""Before the look that follows a packet or a touch: what was sent first is taken first."""
FAST = 0.005
"""Seconds between looks at a drain, a touch, a restart or an announcement that has just begun."""
STEADY = 0.03
"""Seconds between looks at one of those that takes longer than usual."""
USUAL = 1.0
CLOSE = 0.012
"""Seconds between looks at a load that is about to end."""
SHARE = 0.025
"""Of the time that a load has taken so far: looking so often costs a roll a hundredth of it, and few looks."""
NEARLY = 0.95
"""Part of the load time of the quickest vassal before which no other is expected to accept.

The last roll's tells for the first of a roll. Where a deploy made it shorter, they are seen a check-interval late.
"""


def pause(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds to wait after this step; at most `check-interval`."""
    if roll.result is not None:
        return 0.0
    flying = [progress for progress in roll.vassals.values() if progress.phase.in_flight]
    quickest = roll.usual_load if roll.quickest_load is None else roll.quickest_load
    soonest = min((_pause(one, quickest, now) for one in flying), default=settings.check_interval)
    proof = canary.next_proof(roll, settings, now)
    return min(settings.check_interval, soonest, soonest if proof is None else proof)


def _pause(progress: Progress, quickest: float | None, now: float) -> float:
    restarting = progress.phase is Phase.RESTARTING
    if not restarting and (progress.since == now or (progress.phase is Phase.TOUCHED and progress.looks == 1)):
        return AT_ONCE
    if not restarting or not (progress.executed or progress.new_process):
        woken = restarting and progress.nudged
        return FAST if now - progress.since < USUAL and not woken else STEADY
    passed = now - (progress.acted if progress.acted is not None else progress.since)
    if quickest is None or passed > quickest / NEARLY:
        return max(FAST, passed * SHARE)
    return max(CLOSE, quickest * NEARLY - passed)
