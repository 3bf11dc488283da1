"""What the roll does at one look: the transitions that are chosen, for all vassals together.

Evict comes first, because what becomes of a failed vassal's traffic is part of the reason for which the roll stops.
Then wake, return or recall, touch or unsubscribe again, take: each chooses among vassals that no other one has chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from uwsgi_reload_hook.planning import absence, candidates, draining, throttle, warming
from uwsgi_reload_hook.planning.actions import Action, WakeMaster
from uwsgi_reload_hook.planning.budget import Budget
from uwsgi_reload_hook.planning.observation import apply
from uwsgi_reload_hook.planning.progress import Image, Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll, Stage
from uwsgi_reload_hook.planning.transitions import Context, Transition

__all__ = ["evict", "return_drained", "schedule"]

RECALLED = "given its traffic back: another vassal stopped serving, and the minimum needs this one"


def schedule(roll: Roll, context: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Choose what is done now."""
    pending = candidates.in_order(roll, context)
    budget = Budget(roll, context, {candidate for _, candidate in pending})
    chosen = [*_wake(roll, context)]
    if roll.stage is Stage.WINDING_DOWN:
        chosen += return_drained(roll, context.now, roll.reason)
        return apply(roll, chosen)
    drained = roll.within(Phase.DRAINING)
    recalled = {one.id: one for one in budget.to_recall(drained)}
    chosen += [draining.return_to_service(one, context.now, RECALLED) for one in recalled.values()]
    staying = [one for one in drained if one.id not in recalled]
    chosen += _touch(staying, roll, context)
    # The next look shows whether a recalled vassal serves.
    if not recalled and not absence.unsettled(roll, context):
        chosen += _take(pending, roll, budget, context)
    return apply(roll, chosen)


def return_drained(roll: Roll, now: float, reason: str) -> list[Transition]:
    """Return to service the vassals that were drained and not touched."""
    why = f"given its traffic back: {reason}"
    return [draining.return_to_service(progress, now, why) for progress in roll.within(Phase.DRAINING)]


def evict(roll: Roll, context: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Choose what becomes of the traffic of vassals whose new code has not answered its probe well."""
    return apply(roll, _evict(roll, Budget(roll, context), context))


def _evict(roll: Roll, budget: Budget, context: Context) -> Iterable[Transition]:
    """Keep requests away from new code without a good answer to its probe, unless the minimum needs the vassal."""
    for progress in [*roll.within(Phase.WARMING), *roll.within(Phase.FAILED)]:
        actions = warming.eviction(progress, context.snapshot.vassals[progress.id], context)
        if not actions:
            continue
        served = context.snapshot.served[progress.id]
        counted = not progress.phase.is_out
        if short := budget.short_keys(served, counted=counted):
            why = f"{progress.reason}; it keeps its traffic, because the minimum of {', '.join(short)} needs it"
            if progress.phase is Phase.FAILED:
                yield progress._replace(reason=why), ()
        else:
            if counted:
                budget.spend(served)
            yield progress, actions


def _wake(roll: Roll, context: Context) -> Iterable[Transition]:
    """Wake masters whose workers have gone."""
    for progress in throttle.to_wake(roll, context.snapshot):
        wake = WakeMaster(progress.id, context.snapshot.vassals[progress.id].pid)
        yield progress._replace(image=Image.WOKEN), (wake,)


def _touch(drained: Collection[Progress], roll: Roll, context: Context) -> Iterable[Transition]:
    """Touch the drained vassals that are ready, start those that are down, and unsubscribe again those still routed."""
    seen = context.snapshot.vassals
    ready = {one.id: why for one in drained if (why := draining.why_ready(one, seen[one.id], context))}
    left = throttle.free_for_touches(sum(seen[id_].present for id_ in ready), roll, context)
    for progress in drained:
        vassal = seen[progress.id]
        if progress.id not in ready:
            if packets := draining.unsubscribe_again(progress, vassal, context):
                yield progress, packets
        elif not vassal.present or left > 0:
            left -= vassal.present
            yield draining.restart(progress, vassal, context, ready[progress.id])


def _take(
    pending: Iterable[tuple[str, candidates.Candidate]], roll: Roll, budget: Budget, context: Context
) -> Iterable[Transition]:
    """Take as many vassals out of service as the budget allows."""
    for id_, candidate in pending:
        if not budget.refusal(candidate):
            vassal = context.snapshot.vassals[id_]
            live = absence.routed(vassal, context.snapshot)
            yield draining.take(roll.vassals[id_], vassal, live, budget.take(candidate, live), context)
