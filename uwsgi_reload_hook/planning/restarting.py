"""The phases `touched` and `restarting`: from the touch of a config to the first request that the new code accepts."""

from __future__ import annotations

from collections.abc import Mapping

from uwsgi_reload_hook.planning import evidence, warming
from uwsgi_reload_hook.planning.actions import ClearBlacklist, Unsubscribe
from uwsgi_reload_hook.planning.progress import Baseline, Failure, Image, Phase, Progress, Warmup
from uwsgi_reload_hook.planning.transitions import (
    NEXT,
    Context,
    Transition,
    enter,
    fail,
    fail_and_return,
    is_unnoticed,
    unless_late,
)
from uwsgi_reload_hook.snapshot import Vassal

__all__ = ["new_process", "observe_restarting", "observe_touched"]


def observe_touched(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Wait until the Emperor notices the touch: it copies the config's mtime into `last_mod`."""
    before = progress.before
    if evidence.has_exited(progress, vassal):
        return _follow_exit(progress, vassal, context)
    if why := evidence.why_dead(before, vassal):
        return fail(progress, context.now, Failure.DIED, why), ()
    if vassal.last_mod > before.last_mod:
        return enter(progress, Phase.RESTARTING, context.now, "the Emperor noticed the touch"), ()
    looked = progress._replace(unnoticed_looks=progress.unnoticed_looks + 1)
    restarted = progress.times.restarted
    if not is_unnoticed(looked.unnoticed_looks, context.now - (context.now if restarted is None else restarted)):
        return looked, ()
    why = (
        "the Emperor did not notice the touch of its config: if that is a symlink, set emperor-nofollow on the "
        "Emperor; if the Emperor runs as another user, check that it can read the file"
    )
    return fail_and_return(looked, context.now, Failure.UNNOTICED, why)


def observe_restarting(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Wait until new code accepts requests."""
    if evidence.has_exited(progress, vassal):
        return _follow_exit(progress, vassal, context)
    if why := evidence.why_dead(progress.before, vassal):
        return fail(progress, context.now, Failure.DIED, why), ()
    if progress.before.pid is None and vassal.present:
        progress = progress._replace(before=progress.before._replace(pid=vassal.pid, first_run=vassal.first_run))
    if not progress.image.is_new and evidence.has_reexecuted(progress.before, vassal):
        progress = progress._replace(image=Image.REEXECUTED)
    accepts = vassal.accepting or not progress.before.accepts
    if not (vassal.present and accepts and evidence.runs_new_code(progress, vassal)):
        return _wait_for_code(progress, vassal, context)
    # The Emperor may still report the accepting byte of the previous start; only new workers prove this one.
    seen = progress.image is Image.NEW_PROCESS or vassal.details is not None
    if not seen or not evidence.has_new_workers(progress, vassal):
        return unless_late(progress, context, "does not start its workers"), ()
    return warming.begin(progress, vassal, context)


def _wait_for_code(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    waiting = unless_late(progress, context, _missing(progress, vassal))
    again = evidence.still_routed(progress.drain, vassal, context.snapshot, context.ignored_by)
    return waiting, (Unsubscribe(progress.id, again),) if again and waiting.phase is not Phase.FAILED else ()


def _missing(progress: Progress, vassal: Vassal) -> str:
    """What a vassal lacks that was touched, or started."""
    if not vassal.present:
        return "is not started by the Emperor"
    if not progress.image.is_new and vassal.details is not None and vassal.details.reloads == progress.before.reloads:
        return "its old processes have not ended, so that its reload has not begun"
    return f"does not accept requests after its reload; {evidence.see_log(vassal)}"


def _follow_exit(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge a vassal that ends in place of re-executing itself by the process that the Emperor starts then."""
    before = progress.before
    if vassal.present and not vassal.cursed and vassal.pid not in {before.pid, 0}:
        return new_process(progress, vassal, context, "ended, as exit-on-reload has it, and was started again"), ()
    late = unless_late(progress, context, "ended, as exit-on-reload has it, and is not started again")
    # One that has served no request yet is blacklisted for its end.
    clear = vassal.blacklisted is not None and not vassal.present and late.phase is not Phase.FAILED
    return late, (ClearBlacklist((progress.id,)),) if clear else ()


def new_process(
    progress: Progress,
    vassal: Vassal,
    context: Context,
    reason: str,
    table: Mapping[Phase, frozenset[Phase]] = NEXT,
) -> Progress:
    """Judge a vassal by its new process, which began after the roll did.

    A vassal that serves already stays in service while it is probed, because the minimum may need it.
    """
    now, times = context.now, progress.times
    return enter(
        progress,
        Phase.RESTARTING,
        now,
        reason,
        table=table,
        times=times._replace(started=now if times.started is None else times.started, restarted=now),
        before=Baseline(
            pid=vassal.pid if vassal.present else None,
            accepts=progress.before.accepts,
            blacklisted=vassal.blacklisted,
            first_run=vassal.first_run,
        ),
        image=Image.NEW_PROCESS,
        warmup=Warmup(admitted=now if context.snapshot.served[vassal.id] else None),
    )
