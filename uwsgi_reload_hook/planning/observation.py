"""What a look shows of each vassal of a roll: the transitions that are seen. The chosen ones are in schedule.py.

A vassal that is not running is started instead of touched. One that was restarted by somebody else since the roll began
runs the new code already, and joins at `restarting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from uwsgi_reload_hook.planning import absence, canary, counts, draining, evidence, restarting, warming
from uwsgi_reload_hook.planning.actions import Action
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context, Transition, enter, fail
from uwsgi_reload_hook.snapshot import Vassal

__all__ = ["apply", "observe"]


ASLEEP = "it sleeps on demand: whatever connects to it next starts it with the new code"
_UNTOUCHED = frozenset({Phase.PENDING, Phase.DRAINING})


def observe(roll: Roll, context: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Move each vassal by what is seen of it now, at most one phase, and note what is seen of the routers."""
    roll = absence.note_routers(roll, context)
    seen, done = context.snapshot.vassals, Phase.DONE
    moves = [
        _observe(one, seen[one.id], context)
        for one in roll.vassals.values()
        if not one.phase.is_over or (one.phase is done and evidence.is_another(one.before, seen[one.id]))
    ]
    roll, actions = apply(roll, moves)
    ignoring = (draining.ignoring_routers(one, seen[one.id], context) for one in roll.within(Phase.DRAINING))
    roll = replace(
        roll,
        ignored_by=roll.ignored_by.union(*ignoring),
        minimum=counts.minimum_by_key(context.snapshot, roll, context.settings),
    )
    return canary.note(roll, context.settings, context.now), actions


def apply(roll: Roll, moves: Iterable[Transition]) -> tuple[Roll, tuple[Action, ...]]:
    """The roll after transitions of different vassals, and their acts in the same order."""
    moves = [*moves]
    vassals = {**roll.vassals, **{new.id: new for new, _ in moves}}
    return replace(roll, vassals=vassals), tuple([action for _, actions in moves for action in actions])


def _observe(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Move one vassal.

    A config that is not found counts as removed once the Emperor stops the vassal too, or no longer lists it.
    """
    if progress.phase is Phase.DONE:
        return _observe_done(progress, vassal, context), ()
    if not vassal.config_exists and not vassal.is_lost:
        return enter(progress, Phase.WITHDRAWN, context.now, "its config was removed"), ()
    if vassal.is_asleep and (progress.phase in _UNTOUCHED or not evidence.why_dead(progress.before, vassal)):
        return enter(progress, Phase.WITHDRAWN, context.now, ASLEEP), ()
    for node in vassal.nodes:
        if node.key not in progress.keys:
            progress = progress._replace(keys=progress.keys | vassal.keys)
    if progress.keys & vassal.withheld_keys:
        progress = progress._replace(keys=progress.keys - vassal.withheld_keys)
    return _RULES[progress.phase](progress, vassal, context)


def _observe_pending(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    if vassal.pid != progress.first_pid and vassal.present and vassal.pid > 0:
        return restarting.new_process(progress, vassal, context, "was started by the Emperor after the trigger"), ()
    return absence.note_absence(progress, vassal, context), ()


def _observe_done(progress: Progress, vassal: Vassal, context: Context) -> Progress:
    """Fail a vassal that died after it was done, because the new code may kill the others too."""
    why = evidence.why_dead(progress.before, vassal)
    if not why or not vassal.config_exists:
        return progress
    return fail(progress, context.now, Failure.DIED, f"after it was done: {why}")


_RULES: dict[Phase, Callable[[Progress, Vassal, Context], Transition]] = {
    Phase.PENDING: _observe_pending,
    Phase.DRAINING: draining.observe,
    Phase.TOUCHED: restarting.observe_touched,
    Phase.RESTARTING: restarting.observe_restarting,
    Phase.WARMING: warming.observe,
}
