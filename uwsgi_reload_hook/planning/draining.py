"""The phase `draining`: how a vassal leaves service, up to the touch of its config, and how it returns untouched."""

from __future__ import annotations

from collections.abc import Mapping

from uwsgi_reload_hook.planning import absence, evidence, restarting
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

__all__ = ["ignoring_routers", "observe", "restart", "return_to_service", "take", "why_ready"]


def take(progress: Progress, vassal: Vassal, nodes: tuple[Node, ...], context: Context) -> Transition:
    """Take a pending vassal out of service: `nodes` are those of its live nodes that are unsubscribed."""
    live = absence.routed(vassal, context.snapshot)
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
    return back._replace(unnoticed_looks=0), subscribe(progress, progress.drain.unsubscribed)


def observe(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge a draining vassal: whether it still lives, whether the routers took the packet, what keeps it untouched."""
    drain = progress.drain
    if drain.was_serving and (not vassal.present or vassal.cursed or vassal.pid != progress.first_pid):
        return fail(progress, context.now, Failure.DIED, "died by itself while it was drained"), ()
    if not drain.was_serving and vassal.present:
        if vassal.pid != progress.first_pid:
            return restarting.new_process(progress, vassal, context, "was started by the Emperor after the trigger"), ()
        if vassal.cursed:
            return unless_late(progress, context, "is dying, and does not end"), ()
    again = evidence.still_routed(drain, vassal, context.snapshot, context.ignored_by)
    if not again:
        progress = progress._replace(unnoticed_looks=0) if progress.unnoticed_looks else progress
        return _observe_config(progress, vassal, context)
    looks = progress.unnoticed_looks + 1
    progress = progress._replace(unnoticed_looks=looks)
    if _is_overdue(progress, context) or is_unnoticed(looks, _seconds(progress, context)):
        return _observe_config(progress, vassal, context)
    # At looks 1, 2, 4, 8 …: a packet is taken before a router answers, or never.
    return progress, (Unsubscribe(progress.id, again),) if looks & (looks - 1) == 0 else ()


def _observe_config(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Fail a drained vassal whose config cannot be touched."""
    details = vassal.details
    if details is None or not vassal.present or not _why_drained(progress, vassal, context):
        return progress, ()
    if details.touch_problem:
        return fail_and_return(progress, context.now, Failure.REFUSED, details.touch_problem)
    if not _waits_for_the_clock(vassal, context):
        return progress, ()
    late = unless_late(
        progress,
        context,
        "has a config younger than the present second, the only one that the hook may give it: chown the config",
    )
    if late.phase is not Phase.FAILED:
        return progress, ()
    return late._replace(drain=Drain()), subscribe(progress, progress.drain.unsubscribed)


def ignoring_routers(progress: Progress, vassal: Vassal, context: Context) -> frozenset[str]:
    """The routers that are seen to take no packets of the hook for this draining vassal."""
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
            first_run=vassal.first_run,
        ),
    )
    mtime = max(int(context.snapshot.wall), vassal.last_mod + 1) if details.may_set_mtime else None
    paths = (details.touch_path, details.touch_also) if details.touch_also else (details.touch_path,)
    return touched, tuple(Touch(progress.id, path, mtime) for path in paths)


def _why_drained(progress: Progress, vassal: Vassal, context: Context) -> str:
    """How a vassal was drained, in words; empty = it is not."""
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


def _waits_for_the_clock(vassal: Vassal, context: Context) -> bool:
    """Whether a touch would show nothing, because it can only give the config the second that it has."""
    may_not_choose = vassal.details is not None and not vassal.details.may_set_mtime
    return may_not_choose and int(context.snapshot.wall) <= vassal.last_mod


def _drained_words(drain: Drain, context: Context) -> str:
    routers = {node.router for node in drain.unsubscribed}
    ignoring = routers & context.ignored_by
    if not ignoring:
        return "drained"
    elsewhere = "drained elsewhere; " if routers - ignoring else ""
    return (
        f"{elsewhere}not drained at {', '.join(sorted(ignoring))}: the router takes no packets of the hook "
        "(are subscriptions signed, or credentials checked?)"
    )
