"""The stages of a roll, and how it stops and ends.

    waiting -> rolling -> winding down -> over

A restart of the Emperor, or of the hook, can lead from winding down back to rolling, because a vassal whose touch was
lost is pending again (recovery.py).

*Waiting*: no vassal was taken yet, and the roll can still be refused.
*Rolling*: vassals are taken, reloaded, and returned to service.
*Winding down*: no further vassal is taken, because all were, or because the roll stops. Those out of service come back.
*Over*: the roll has its result.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning import absence, announcing, canary, counts, limits, unrollable
from uwsgi_reload_hook.planning.opening import refusal
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Mode, Result, Roll, Stage
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context

__all__ = ["advance", "end", "stop", "stop_if_needed"]


def stop(roll: Roll, result: Result, reason: str) -> Roll:
    """Take no further vassal; the roll ends with `result` once none is out of service. The first reason is kept."""
    if roll.stopping is not None:
        return replace(roll, stage=Stage.WINDING_DOWN)
    return replace(roll, stage=Stage.WINDING_DOWN, stopping=result, reason=reason)


def end(roll: Roll, result: Result, reason: str, now: float) -> Roll:
    """Give a roll its result. That of a restore is `interrupted`, because the roll that it belongs to was."""
    result = Result.INTERRUPTED if roll.mode is Mode.RESTORE else result
    return replace(roll, stage=Stage.OVER, result=result, reason=reason, finished=now)


def stop_if_needed(roll: Roll, context: Context) -> Roll:
    """Stop a roll if a vassal failed, the deadline was reached, or a key that a router listed late has no room."""
    if roll.stopping is not None or roll.mode is Mode.RESTORE:
        return roll
    if roll.within(Phase.FAILED):
        return stop(roll, Result.FAILED, "; ".join(f"{one.id}: {one.reason}" for one in roll.within(Phase.FAILED)))
    left = any(not one.phase.is_over for one in roll.vassals.values())
    if left and _is_past_deadline(roll, context):
        return stop(roll, Result.TIMED_OUT, f"the deadline of {context.settings.deadline:g} s was reached")
    if roll.stage is Stage.WAITING and not roll.out:
        why = refusal(context.snapshot, roll)
        if not why:  # a router may have listed keys late, and their minimum spares no vassal
            roll, why = unrollable.exclude_unrollable(context.snapshot, roll)
        return stop(roll, Result.REFUSED, why) if why else roll
    return roll


def advance(roll: Roll, before: Roll, context: Context) -> Roll:
    """Move a roll to the stage that its vassals are in after a step; `before` is the roll before that step."""
    pairs = ((before.vassals[id_], one) for id_, one in roll.vassals.items())
    if any(old.phase is not new.phase and not _is_recurring(old, new) for old, new in pairs):
        roll = replace(roll, last_change=context.now)
    roll = _stop_if_stalled(roll, context)
    if roll.out:
        pending = bool(roll.within(Phase.PENDING) or roll.within(Phase.DRAINING))
        stage = Stage.ROLLING if pending and roll.stage is not Stage.WINDING_DOWN else Stage.WINDING_DOWN
        return roll if roll.stage is stage else replace(roll, stage=stage)
    if roll.mode is Mode.RESTORE or roll.stopping is not None:
        return end(roll, roll.stopping or Result.INTERRUPTED, roll.reason, context.now)
    if roll.within(Phase.PENDING):
        return roll
    waits = canary.seconds_left(roll, context.settings, context.now) or announcing.are_awaited(roll, context)
    if waits and not _is_past_deadline(roll, context):  # all are reloaded: there is nothing left that could time out
        return roll
    result, reason = unrollable.result_of_finished(roll)
    reasons = [one for one in (reason, announcing.warning(roll, context.snapshot)) if one]
    return end(roll, result, "; ".join(reasons), context.now)


def _is_recurring(old: Progress, new: Progress) -> bool:
    """Whether a vassal that was recalled before is drained or recalled again, as it may be for ever."""
    return old.was_recalled and {old.phase, new.phase} == {Phase.PENDING, Phase.DRAINING}


def _is_past_deadline(roll: Roll, context: Context) -> bool:
    limit = context.settings.deadline
    return limit > 0 and context.now - roll.started >= limit


def _stop_if_stalled(roll: Roll, context: Context) -> Roll:
    """Stop a roll whose minimum spares no vassal for too long, because one died by itself or never came back.

    It waits a little longer while vassals have time to announce themselves; but not for ever, because a router that is
    restarted again and again gives them time again and again.
    """
    settings, limit = context.settings, limits.of_roll(roll, context.settings)
    waited = context.now - max(roll.last_change, canary.watched_until(roll, settings))
    pending = roll.within(Phase.PENDING)
    if roll.stage is Stage.WINDING_DOWN or waited < limit or not pending or roll.out:
        return roll
    if waited < limit + ANNOUNCE_WAIT and _may_be_announced(roll, pending, waited, context):
        return roll
    return stop(roll, Result.TIMED_OUT, _stalled(roll, pending, context))


def _may_be_announced(roll: Roll, pending: list[Progress], waited: float, context: Context) -> bool:
    """Whether there may be room once vassals have announced themselves, for which they still have time."""
    seen = context.snapshot.vassals
    if absence.unsettled(roll, context) or any(absence.is_awaited(one, seen[one.id], context) for one in pending):
        return True
    return waited < ANNOUNCE_WAIT and any(_is_unlisted(one, context) for one in roll.within(Phase.DONE))


def _is_unlisted(progress: Progress, context: Context) -> bool:
    served = context.snapshot.served[progress.id]
    return context.snapshot.vassals[progress.id].accepting and not served >= progress.keys


def _stalled(roll: Roll, pending: list[Progress], context: Context) -> str:
    serving = counts.serving_by_key(context.snapshot, roll)
    short = ", ".join(f"{key}: {serving[key]} of {number} needed" for key, number in sorted(roll.minimum.items()))
    waiting = sorted(progress.id for progress in pending)
    reason = (
        f"no room for {', '.join(waiting)} within {limits.of_roll(roll, context.settings):g} s (serving under {short})"
    )
    if lost := [id_ for id_ in waiting if not context.snapshot.vassals[id_].config_exists]:
        reason += f"; the Emperor runs {', '.join(lost)}, of which the hook finds no config"
    return reason
