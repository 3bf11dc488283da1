"""The phase `draining`: how a vassal leaves service, up to the touch of its config, and how it returns untouched."""

from __future__ import annotations

from collections.abc import Mapping

from uwsgi_reload_hook.planning import evidence, restarting
from uwsgi_reload_hook.planning.actions import ClearBlacklist, Touch, Unsubscribe
from uwsgi_reload_hook.planning.progress import Baseline, Drain, Failure, Phase, Progress, Times
from uwsgi_reload_hook.planning.transitions import (
    NEXT,
    Context,
    Transition,
    enter,
    fail,
    fail_and_return,
    is_unnoticed,
    subscribe,
    unless_late,
)
from uwsgi_reload_hook.snapshot import Node, Vassal

__all__ = ["ignoring_routers", "observe", "restart", "return_to_service", "take", "unsubscribe_again", "why_ready"]


def take(
    progress: Progress, vassal: Vassal, live: tuple[Node, ...], nodes: tuple[Node, ...], context: Context
) -> Transition:
    """Take a pending vassal out of service: `nodes` are those of its `live` nodes to unsubscribe."""
    reason = "unsubscribed"
    if not nodes:
        reason = "keeps its traffic until its reload" if live else "has no traffic to drain"
    drained = enter(
        progress,
        Phase.DRAINING,
        context.now,
        reason,
        times=Times(started=context.now),
        drain=Drain(nodes=live, unsubscribed=nodes, was_serving=vassal.present and vassal.accepting),
    )
    return drained, (Unsubscribe(progress.id, nodes),) if nodes else ()


def return_to_service(
    progress: Progress, now: float, reason: str, table: Mapping[Phase, frozenset[Phase]] = NEXT
) -> Transition:
    """Return a vassal that was drained and not touched to service."""
    back = enter(progress, Phase.PENDING, now, reason, table=table, drain=Drain(), times=Times())
    return back._replace(unnoticed_looks=0, was_recalled=True), subscribe(progress, progress.drain.unsubscribed)


def observe(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge a draining vassal: whether it is alive, whether the routers took the packet, whether it can be touched."""
    drain = progress.drain
    if drain.was_serving and (not vassal.present or vassal.cursed or vassal.pid != progress.first_pid):
        return fail(progress, context.now, Failure.DIED, "died by itself while it was drained"), ()
    if not drain.was_serving and vassal.present:
        if vassal.pid != progress.first_pid:
            return restarting.new_process(progress, vassal, context, "was started by the Emperor after the trigger"), ()
        if vassal.cursed:
            return unless_late(progress, context, "is cursed by the Emperor, and does not end"), ()
    again = evidence.still_routed(drain, vassal, context.snapshot, context.ignored_by)
    if not again:
        progress = progress._replace(unnoticed_looks=0) if progress.unnoticed_looks else progress
        return _observe_config(progress, vassal, context)
    progress = progress._replace(unnoticed_looks=progress.unnoticed_looks + 1)
    if _is_given_up(progress, context):
        return _observe_config(progress, vassal, context)
    return progress, ()


def unsubscribe_again(progress: Progress, vassal: Vassal, context: Context) -> tuple[Unsubscribe, ...]:
    """The packet for nodes that the routers list again, or still; none where that was given up.

    Sent at looks 1, 2, 4, 8 … only, because a router that takes packets does so before it answers.
    """
    looks = progress.unnoticed_looks
    if not looks or looks & (looks - 1) or _is_given_up(progress, context):
        return ()
    again = evidence.still_routed(progress.drain, vassal, context.snapshot, context.ignored_by)
    return (Unsubscribe(progress.id, again),) if again else ()


def _is_given_up(progress: Progress, context: Context) -> bool:
    """Whether it is touched though a router still lists it: the drain took too long, or packets have no effect."""
    return _is_overdue(progress, context) or is_unnoticed(progress.unnoticed_looks, _seconds(progress, context))


def _observe_config(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Fail a drained vassal that cannot be touched, for its config or because it loads already and does not end."""
    details = vassal.details
    if details is None or _loads_already(progress, vassal):
        why = "loads, because somebody else has reloaded it, and does not end" if details else "cannot be looked at"
        return unless_late(progress, context, why), ()
    if not vassal.present or not _why_drained(progress, vassal, context):
        return progress, ()
    if details.touch_problem:
        return fail_and_return(progress, context.now, Failure.REFUSED, details.touch_problem)
    if not _waits_for_the_clock(vassal, context):
        return progress, ()
    why = (
        "has a config from the future, and the hook may only set the present time: chown the config to the hook's user"
    )
    late = unless_late(progress, context, why)
    if late.phase is not Phase.FAILED:
        return progress, ()
    return late._replace(drain=Drain()), subscribe(progress, progress.drain.unsubscribed)


def ignoring_routers(progress: Progress, vassal: Vassal, context: Context) -> frozenset[str]:
    """The routers that have ignored the hook's packets for this draining vassal."""
    if not is_unnoticed(progress.unnoticed_looks, _seconds(progress, context)):
        return frozenset()
    again = evidence.still_routed(progress.drain, vassal, context.snapshot, context.ignored_by)
    return frozenset([node.router for node in again])


def why_ready(progress: Progress, vassal: Vassal, context: Context) -> str:
    """Why a draining vassal can be touched, or started, now; empty = it cannot yet."""
    if not progress.drain.was_serving:
        if not vassal.present:
            return "was down: started"
        if vassal.cursed:
            return ""
    if vassal.details is None or vassal.details.touch_problem or _waits_for_the_clock(vassal, context):
        return ""
    if _loads_already(progress, vassal):
        return ""
    return _why_drained(progress, vassal, context)


def restart(progress: Progress, vassal: Vassal, context: Context, reason: str) -> Transition:
    """Touch the config of a vassal that is ready, or have the Emperor start it where it is down."""
    if not vassal.present:
        started = restarting.new_process(progress, vassal, context, reason)
        return started, (ClearBlacklist((progress.id,)),)
    details = vassal.details
    if details is None:
        raise RuntimeError(f"{progress.id}: its config was not inspected, so it cannot be touched")
    touched = enter(
        progress,
        Phase.TOUCHED,
        context.now,
        reason,
        unnoticed_looks=0,
        times=progress.times._replace(restarted=context.now),
        before=Baseline(
            pid=vassal.pid,
            respawns=vassal.respawns,
            last_mod=vassal.last_mod,
            reloads=details.reloads,
            children=details.children,
            accepts=vassal.accepting or bool(progress.keys),
            options=details.options,
            first_run=vassal.first_run,
        ),
    )
    mtime = max(int(context.snapshot.wall), vassal.last_mod + 1) if details.may_set_mtime else None
    paths = (details.touch_path, details.touch_also) if details.touch_also else (details.touch_path,)
    return touched, tuple(Touch(progress.id, path, mtime) for path in paths)


def _why_drained(progress: Progress, vassal: Vassal, context: Context) -> str:
    """Why the drain is over, in words; empty = it is not."""
    drain = progress.drain
    if _is_overdue(progress, context):
        return "drain-timeout reached"
    if evidence.still_routed(drain, vassal, context.snapshot, context.ignored_by):
        return ""
    if not evidence.is_drained(drain, vassal, context.ignored_by):
        return ""
    return _drained_words(drain, context)


def _seconds(progress: Progress, context: Context) -> float:
    return context.now - (context.now if progress.times.started is None else progress.times.started)


def _is_overdue(progress: Progress, context: Context) -> bool:
    return _seconds(progress, context) >= context.settings.drain_timeout


def _loads_already(progress: Progress, vassal: Vassal) -> bool:
    """Whether somebody else has reloaded it: a touch would have it load a second time, unseen, after it has accepted.

    The Emperor does not know of such a reload, so the vassal accepts by its word.
    """
    return progress.drain.was_serving and vassal.details is not None and vassal.details.loads is True


def _waits_for_the_clock(vassal: Vassal, context: Context) -> bool:
    """Whether the Emperor would miss a touch, because the hook can only set the second that the config has already."""
    may_not_choose = vassal.details is not None and not vassal.details.may_set_mtime
    return may_not_choose and int(context.snapshot.wall) <= vassal.last_mod


def _drained_words(drain: Drain, context: Context) -> str:
    routers = {node.router for node in drain.unsubscribed}
    ignoring = routers & context.ignored_by
    if not ignoring:
        return "drained"
    elsewhere = "drained elsewhere; " if routers - ignoring else ""
    return (
        f"{elsewhere}not drained at {', '.join(sorted(ignoring))}: the router ignores the hook's packets "
        "(are subscriptions signed, or credentials checked?)"
    )
