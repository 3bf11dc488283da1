"""How a roll goes on whose hook has ended: it is finished, or its vassals only return to service."""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning import draining, evidence, old_answers, polling, restarting, warming
from uwsgi_reload_hook.planning.actions import ClearBlacklist, Step
from uwsgi_reload_hook.planning.observation import apply
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import Mode, Roll, Stage
from uwsgi_reload_hook.planning.transitions import RECOVERED, Context, Transition, fail
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = ["restore", "resume"]


def resume(roll: Roll, snapshot: Snapshot, settings: Settings, now: float) -> Step:
    """Resume a roll that another hook left: each vassal goes back to a phase from which it can be judged.

    A vassal that was done and is another process now is waited for again if the Emperor was restarted too. Under the
    same Emperor it died by itself, and that stops the roll.
    """
    roll = old_answers.forget_questions(roll)
    context = Context(snapshot, settings, now, old_answers=roll.old_answers)
    same_emperor = roll.emperor_pid == snapshot.emperor_pid != 0
    moves = [
        _fail_done(progress, snapshot.vassals[progress.id], context)
        if progress.phase is Phase.DONE and same_emperor
        else _recover(progress, snapshot.vassals[progress.id], context)
        for progress in roll.vassals.values()
        if progress.phase.is_out or _was_done(progress, snapshot)
    ]
    roll, actions = apply(roll, moves)
    stage = Stage.WINDING_DOWN
    if roll.mode is Mode.WHOLE and roll.stopping is None:
        untouched = all(one.phase is Phase.PENDING for one in roll.vassals.values())
        stage = Stage.WAITING if roll.stage is Stage.WAITING and untouched else Stage.ROLLING
    roll = replace(roll, stage=stage, emperor_pid=snapshot.emperor_pid, blind_since=None, last_change=now)
    return Step(actions, roll, polling.look_after(polling.IMMEDIATELY, roll))


def restore(roll: Roll, snapshot: Snapshot, settings: Settings, now: float) -> Step:
    """Return to service what an unfinished roll has taken out, and reload nobody.

    Vassals that are not provably still out of service are dropped, because the journal may be old.
    """
    out = {one.id: one for one in roll.out if _is_still_out(one, snapshot)}
    left = replace(roll, vassals=out, mode=Mode.RESTORE, stopping=None, reason="a whole roll follows")
    return resume(left, snapshot, settings, now)


def _recover(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge a vassal that was out of service when its hook ended, without knowing whether its last act was done."""
    undelivered = progress.phase is Phase.DRAINING or (
        progress.phase is Phase.TOUCHED and vassal.present and vassal.last_mod <= progress.before.last_mod
    )
    if not vassal.config_exists:
        return progress, ()  # the next look withdraws it; another vassal may have its address by now
    if not _is_same_process(progress, vassal):
        why = "was restarted while no hook was running"
        started = restarting.new_process(progress, vassal, context, why, RECOVERED)
        return started, () if vassal.present else (ClearBlacklist((progress.id,)),)
    if undelivered:
        why = "given its traffic back: the hook ended before the touch of its config"
        return draining.return_to_service(progress, context.now, why, RECOVERED)
    if progress.warmup.awaits_answer:
        return warming.probe(progress, context)
    return progress, ()


def _fail_done(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Fail a vassal that was done, and died by itself while no hook was running."""
    why = f"after it was done: its process ended while no hook was running; {evidence.see_log(vassal)}"
    return fail(progress, context.now, Failure.DIED, why), ()


def _is_same_process(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal is still the process that was taken out of service."""
    return vassal.present and vassal.pid == progress.expected_pid


def _was_done(progress: Progress, snapshot: Snapshot) -> bool:
    """Whether a vassal was done, and is another process now."""
    vassal = snapshot.vassals[progress.id]
    if progress.phase is not Phase.DONE or not vassal.config_exists or _is_same_process(progress, vassal):
        return False
    return not vassal.on_demand or bool(evidence.why_dead(progress.before, vassal))


def _is_still_out(progress: Progress, snapshot: Snapshot) -> bool:
    """Whether a vassal is still out of service as the roll left it.

    One that is another process, or serves another key, is not, because its sockets may be others too.
    """
    vassal = snapshot.vassals[progress.id]
    lacks_keys = snapshot.served[vassal.id] < progress.keys
    return _is_same_process(progress, vassal) and (lacks_keys or not vassal.accepting)
