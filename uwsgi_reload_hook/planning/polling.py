"""When to look next, and at what: often where a change is milliseconds away, seldom while an application loads."""

from __future__ import annotations

from collections.abc import Sequence

from uwsgi_reload_hook.planning import canary
from uwsgi_reload_hook.planning.actions import Action, Look, Touch
from uwsgi_reload_hook.planning.progress import Image, Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.settings import Settings

__all__ = ["interval", "look_after", "next_look"]

IMMEDIATELY = 0.0
"""Seconds before the look after a packet or a touch, because a server takes what was sent before it answers."""
CHANGE_EXPECTED = 0.005
"""Seconds between looks at a drain, a touch, a restart or an announcement that has just begun."""
OVERDUE = 0.03
"""Seconds between looks at one of those that takes longer than usual."""
OVERDUE_AFTER = 1.0
"""Seconds that each of those usually takes at most."""
LOAD_ENDING = 0.012
"""Seconds between looks at a load that is about to end."""
LOAD_SHARE = 0.025
"""Wait between looks, as a part of the time that the load has taken so far: its end is seen about 1% late."""
LOAD_ENDING_FROM = 0.95
"""Part of the load time of the quickest vassal before which no other is expected to accept.

For the first vassals of a roll, that of the last roll. If a deploy made the load shorter, its end is seen up to one
check-interval late.
"""
REST = 4
"""After a read of the Emperor's stats that took t seconds, the next look waits at least 4 t.

The Emperor is single-threaded, so that reading may take at most a fifth of its time.
"""


def next_look(actions: Sequence[Action], roll: Roll, context: Context) -> Look:
    """The look that follows a step: after a touch at once, because a read of the Emperor's stats makes it scan."""
    if any(isinstance(action, Touch) for action in actions):
        return look_after(IMMEDIATELY, roll)
    rest = context.snapshot.emperor_seconds * REST
    return look_after(max(interval(roll, context.settings, context.now), rest), roll)


def look_after(seconds: float, roll: Roll) -> Look:
    """The look after `seconds`, with the vassals whose processes are inspected."""
    restarting = roll.within(Phase.RESTARTING)
    waits_for_cpu = any(one.image is Image.OLD for one in restarting)
    return Look(
        wait=seconds,
        inspect=(
            *[one.id for one in roll.within(Phase.DRAINING)],
            *[one.id for one in restarting if _has_to_prove_its_image(one) or (waits_for_cpu and one.image.is_new)],
        ),
        inspect_if_accepting=tuple([one.id for one in restarting if one.image is Image.REEXECUTED]),
    )


def _has_to_prove_its_image(progress: Progress) -> bool:
    return not progress.image.is_new or (progress.image is Image.REEXECUTED and not progress.before.accepts)


def interval(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds until something may have changed; at most `check-interval`."""
    if roll.result is not None:
        return IMMEDIATELY
    quickest = roll.usual_load if roll.quickest_load is None else roll.quickest_load
    soonest = min((_interval(one, quickest, now) for one in roll.out), default=settings.check_interval)
    proof = canary.next_proof(roll, settings, now)
    return min(settings.check_interval, soonest, soonest if proof is None else proof)


def _interval(progress: Progress, quickest: float | None, now: float) -> float:
    restarting = progress.phase is Phase.RESTARTING
    touched = progress.phase is Phase.TOUCHED
    if not restarting and (progress.since == now or (touched and progress.unnoticed_looks == 1)):
        return IMMEDIATELY
    if not restarting or not progress.image.is_new:
        woken = restarting and progress.image is Image.WOKEN
        return CHANGE_EXPECTED if now - progress.since < OVERDUE_AFTER and not woken else OVERDUE
    restarted = progress.times.restarted
    passed = now - (progress.since if restarted is None else restarted)
    if quickest is None or passed > quickest / LOAD_ENDING_FROM:
        return max(CHANGE_EXPECTED, passed * LOAD_SHARE)
    return max(LOAD_ENDING, quickest * LOAD_ENDING_FROM - passed)
