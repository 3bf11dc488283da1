"""Decides what to do at one look: who is drained, touched, subscribed again, and when a roll is over. Pure.

The invariant, after every step and for every subscription key:

    a step takes a serving vassal out of service only while `serving - 1 >= minimum` holds for each of its keys

where `serving` counts the vassals that accept, are subscribed, and are not being reloaded by this roll, less those
that the same step has already taken. A vassal that serves under no key can be taken at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import chain

from uwsgi_reload_hook.planning import absence, budget, canary, evidence, phases, polling, throttle
from uwsgi_reload_hook.planning.budget import Budget, Candidate
from uwsgi_reload_hook.planning.opening import refusal
from uwsgi_reload_hook.planning.roll import Action, Phase, Progress, Result, Roll, Step
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context, Transition
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot

_NONE: frozenset[str] = frozenset()
__all__ = ["abort", "fail_vassal", "plan"]


def plan(snapshot: Snapshot, roll: Roll, settings: Settings, now: float) -> Step:
    """Take one step of a roll that is not over. `now` is monotonic seconds."""
    moment = Context(snapshot, settings, now, roll.ignored_by)
    before = roll.vassals
    roll, actions = _advance(absence.note_routers(roll, moment), moment)
    woken, nudges = throttle.wake(roll, snapshot)
    roll = _stopped(replace(roll, vassals={**roll.vassals, **woken}), moment)
    draining = roll.within(Phase.DRAINING)
    if roll.stop is None and draining:  # what has failed since the last look keeps the drained ones from being touched
        roll, more = _advance_draining(roll, draining, moment)
        roll, actions = _stopped(roll, moment), (*actions, *more)
    roll = canary.note(replace(roll, minimum=budget.minimum(snapshot, roll, settings)), settings, now)
    more = ()
    roll = _refused_late(roll, moment)
    if roll.stop is not None:
        roll, more = _return_drained(roll, now, roll.reason)
    elif not (any(roll.vassals[one.id].phase is Phase.PENDING for one in draining) or absence.unsettled(roll, moment)):
        roll, more = _take(roll, moment)  # whether one that was given back serves is seen by the next look
    changes = zip(before.values(), roll.vassals.values(), strict=True)
    if any(old.phase is not new.phase for old, new in changes):
        roll = replace(roll, moved=now)
    roll = _ended(_stalled(roll, moment), moment)
    return Step((*actions, *nudges, *more), roll, polling.pause(roll, settings, now))


def abort(roll: Roll, now: float, result: Result, reason: str) -> Step:
    """End a roll at once, without a look, giving traffic back to whoever was drained and not touched.

    One that was stopped before keeps the result and the reason of that; an interruption only puts it off.
    """
    roll, actions = _return_drained(roll, now, reason)
    why = roll.reason or reason
    if result is Result.INTERRUPTED:
        return Step(actions, replace(roll, result=result, reason=why, finished=now))
    stop = roll.stop or result
    return Step(actions, replace(roll, stop=stop, result=stop, reason=why, finished=now))


def fail_vassal(roll: Roll, id_: str, reason: str, now: float) -> Step:
    """Record that an act on a vassal was refused by the system, and give it back its traffic; the next step stops."""
    progress, actions = phases.refused(roll.vassals[id_], now, reason)
    return Step(actions, replace(roll, vassals={**roll.vassals, id_: progress}, moved=now))


def _advance(roll: Roll, moment: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Move all that are not draining, those too that are done and have died since."""
    draining, done, seen = Phase.DRAINING, Phase.DONE, moment.snapshot.vassals
    these = [
        one
        for one in roll.vassals.values()
        if not (one.phase.over or one.phase is draining)
        or (one.phase is done and evidence.is_another(one, seen[one.id]))
    ]
    return _merged(roll, budget.spare(_moves(these, moment), moment.snapshot, roll))


def _advance_draining(roll: Roll, draining: Iterable[Progress], moment: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Move those that are draining, and touch some. If one of them fails, none is touched.

    Those that the minimum needs again get their traffic back, as another vassal has died.
    """
    moves = _moves(draining, moment)
    roll = replace(roll, ignored_by=roll.ignored_by.union(*(new.ignored_by for new, _ in moves)))
    failures = [(new, actions) for new, actions in moves if new.phase is Phase.FAILED]
    if failures:
        return _merged(roll, failures)
    needed = budget.needed(draining, moment.snapshot, roll)
    why = "given its traffic back: another vassal serves no more, and the minimum needs this one"
    back = [phases.return_to_service(progress, moment.now, why) for progress in draining if progress.id in needed]
    moves = [move for move in moves if move[0].id not in needed]
    return _merged(roll, [*back, *throttle.spread(moves, roll, moment)])


def _moves(these: Iterable[Progress], moment: Context) -> list[Transition]:
    seen = moment.snapshot.vassals
    return [phases.advance(progress, seen[progress.id], moment) for progress in these]


def _merged(roll: Roll, moves: Collection[Transition]) -> tuple[Roll, tuple[Action, ...]]:
    vassals = {**roll.vassals, **{new.id: new for new, _ in moves}}
    return replace(roll, vassals=vassals), tuple([action for _, actions in moves for action in actions])


def _stopped(roll: Roll, moment: Context) -> Roll:
    if roll.stop is not None:
        return roll
    if failed := roll.within(Phase.FAILED):
        return replace(roll, stop=Result.FAILED, reason="; ".join(f"{one.id}: {one.reason}" for one in failed))
    limit = moment.settings.deadline
    left = any(not one.phase.over for one in roll.vassals.values())
    if limit and left and moment.now - roll.started >= limit:
        return replace(roll, stop=Result.TIMED_OUT, reason=f"the deadline of {limit:g} s was reached")
    return roll


def _refused_late(roll: Roll, moment: Context) -> Roll:
    """Refuse a roll of which nobody was taken yet, where the keys that a router listed later leave no room at all."""
    if roll.stop is not None or any(one.phase is not Phase.PENDING for one in roll.vassals.values()):
        return roll
    why = refusal(moment.snapshot, roll)
    return replace(roll, stop=Result.REFUSED, reason=why) if why else roll


def _return_drained(roll: Roll, now: float, reason: str) -> tuple[Roll, tuple[Action, ...]]:
    why = f"given its traffic back: {reason}"
    return _merged(roll, [phases.return_to_service(progress, now, why) for progress in roll.within(Phase.DRAINING)])


def _stalled(roll: Roll, moment: Context) -> Roll:
    """Stop a roll that waits for room which does not come: a vassal died by itself, or never came back."""
    limit = moment.settings.timeout
    since = max(roll.moved, canary.watched_until(roll, moment.settings))
    if roll.stop is not None or moment.now - since < limit or absence.unsettled(roll, moment):
        return roll
    pending = roll.within(Phase.PENDING)
    seen = moment.snapshot.vassals
    if any(absence.is_awaited(progress, seen[progress.id], moment) for progress in pending):
        return roll
    served = moment.snapshot.served
    unlisted = any(seen[one.id].accepting and not served[one.id] >= one.keys for one in roll.within(Phase.DONE))
    if unlisted and moment.now - since < max(limit, ANNOUNCE_WAIT):
        return roll
    waiting = [progress.id for progress in pending]
    if not waiting or any(progress.phase.in_flight for progress in roll.vassals.values()):
        return roll
    serve = budget.serving(moment.snapshot, roll)
    short = ", ".join(f"{key}: {serve[key]} of {number} needed" for key, number in sorted(roll.minimum.items()))
    reason = f"no room for {', '.join(sorted(waiting))} within {limit:g} s (serving under {short})"
    if lost := [id_ for id_ in sorted(waiting) if not seen[id_].config_exists]:
        reason += f"; the Emperor runs {', '.join(lost)}, of which no config is found"
    return replace(roll, stop=Result.TIMED_OUT, reason=reason)


def _ended(roll: Roll, moment: Context) -> Roll:
    now = moment.now
    if any(progress.phase.in_flight for progress in roll.vassals.values()):
        return roll
    if roll.stop is not None:
        return replace(roll, result=roll.stop, finished=now)
    if roll.within(Phase.PENDING) or canary.seconds_left(roll, moment.settings, now):
        return roll
    return replace(roll, result=Result.DONE, finished=now)


def _candidates(roll: Roll, moment: Context) -> tuple[list[tuple[str, Candidate]], Collection[Candidate]]:
    """The pending vassals in the order in which they are taken, each with its kind; and the kinds, which are few."""
    seen, served = moment.snapshot.vassals, moment.snapshot.served
    young = moment.now - roll.started < moment.settings.timeout
    kinds: dict[tuple[frozenset[str], frozenset[str], bool, bool, frozenset[str], bool, bool, bool], Candidate] = {}
    ranks: list[list[tuple[str, Candidate]]] = [[] for _ in range(budget.LAST + 1)]
    for progress in roll.within(Phase.PENDING):
        id_, keys = progress.id, progress.keys
        vassal, serves = seen[id_], served[id_]
        unseen = progress.unseen_since is not None and vassal.accepting
        unlisted = keys - serves if unseen else _NONE
        down = budget.is_down(vassal) or bool(keys and not serves and not unlisted)
        starting = vassal.present and not vassal.accepting
        settling = starting and young and (down or (not keys and budget.is_starting(vassal)))
        overdue = unseen and not absence.is_awaited(progress, vassal, moment)
        traits = (serves, keys, down, settling, unlisted, overdue, unseen and not keys, vassal.is_lost)
        kind = kinds.get(traits)
        if kind is None:
            kind = kinds[traits] = Candidate(*traits)
        ranks[kind.rank].append((id_, kind))
    return [*chain.from_iterable(ranks)], kinds.values()


def _take(roll: Roll, moment: Context) -> tuple[Roll, tuple[Action, ...]]:
    """Take as many vassals out of service as the invariant, the canary and the window allow."""
    candidates, kinds = _candidates(roll, moment)
    if not candidates:
        return roll, ()
    vassals = dict(roll.vassals)
    actions: list[Action] = []
    free = Budget(moment, roll, better_canary=any(kind.settling for kind in kinds))
    for id_, kind in candidates:
        if free.allows(kind):
            nodes = [node for node in free.take(id_, kind, moment.snapshot) if node.router not in roll.ignored_by]
            vassals[id_], more = phases.begin(vassals[id_], moment.snapshot.vassals[id_], tuple(nodes), moment)
            actions.extend(more)
    return replace(roll, vassals=vassals), tuple(actions)
