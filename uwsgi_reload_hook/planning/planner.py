"""Decides what to do at one look: who is drained, touched, subscribed again, and when a roll is over."""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning import announcing, limits, old_answers, polling, stages
from uwsgi_reload_hook.planning.actions import Step
from uwsgi_reload_hook.planning.observation import apply, observe
from uwsgi_reload_hook.planning.progress import Drain, Failure, Phase
from uwsgi_reload_hook.planning.roll import Result, Roll
from uwsgi_reload_hook.planning.schedule import evict, return_drained, schedule
from uwsgi_reload_hook.planning.transitions import Context, Transition, fail_and_return
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["end_at_once", "fail_vassal", "plan", "see_nothing"]


def plan(snapshot: Snapshot, roll: Roll, settings: Settings, now: float) -> Step:
    """Take one step of a roll that is not over. `now` is in monotonic seconds."""
    roll = old_answers.note(roll, snapshot)
    context = Context(snapshot, settings, now, roll.ignored_by | snapshot.resubscribing, roll.old_answers)
    seen, reactions = observe(replace(roll, blind_since=None), context)
    seen, evictions = evict(seen, context)
    seen = stages.stop_if_needed(seen, context)
    context = replace(context, ignored_by=seen.ignored_by | snapshot.resubscribing)
    chosen, actions = schedule(seen, context)
    chosen, questions = old_answers.ask(chosen, context)
    chosen, hanging = old_answers.end_hanging(chosen, context)
    after = stages.advance(chosen, roll, context)
    kept = announcing.keep(snapshot, {one.id for one in (*after.out, *after.within(Phase.FAILED))})
    actions = (*reactions, *evictions, *actions, *questions, *hanging, *kept)
    return Step(actions, after, polling.next_look(actions, after, context))


def see_nothing(roll: Roll, why: str, settings: Settings, now: float) -> Step:
    """Do nothing while the stats cannot be read, and end the roll when that lasts for `timeout`."""
    since = now if roll.blind_since is None else roll.blind_since
    limit = limits.LOADING if settings.timeout is None else settings.timeout
    if now - since >= limit:
        return end_at_once(roll, now, Result.FAILED, f"for {limit:g} s, {why}")
    blind = replace(roll, blind_since=since)
    return Step((), blind, polling.look_after(settings.check_interval, blind))


def end_at_once(roll: Roll, now: float, result: Result, reason: str) -> Step:
    """End a roll without a look, and return to service whoever was drained and not touched.

    For the two cases in which winding down is impossible: the hook is stopped, or the stats cannot be read. A roll that
    was stopping keeps that result and reason; after an interruption the next hook ends it with them.
    """
    roll, actions = apply(roll, return_drained(roll, now, reason))
    if result is not Result.INTERRUPTED:
        roll = stages.stop(roll, result, reason)
        result = roll.stopping or result
    return Step(actions, stages.end(roll, result, roll.reason or reason, now))


def fail_vassal(roll: Roll, id_: str, reason: str, now: float) -> Step:
    """Record that the system refused an act on a vassal, and give back its traffic; the next step stops the roll.

    A vassal that has already failed its probe keeps that reason too.
    """
    progress = roll.vassals.get(id_)
    if progress is None or progress.phase is Phase.WITHDRAWN:  # nothing of the roll depends on it
        return Step((), roll, polling.look_after(polling.IMMEDIATELY, roll))
    move: Transition
    if progress.phase is Phase.FAILED:
        move = progress._replace(reason=f"{progress.reason}; {reason}", drain=Drain()), ()
    else:
        move = fail_and_return(progress, now, Failure.REFUSED, reason)
    roll, actions = apply(roll, [move])
    return Step(actions, replace(roll, last_change=now), polling.look_after(polling.IMMEDIATELY, roll))
