"""Decides what to do at one look: who is drained, touched, subscribed again, and when a roll is over. Pure.

The invariant, after every step and for every subscription key:

    a step takes a serving vassal out of service only while `serving - 1 >= minimum` holds for each of its keys

where `serving` counts the vassals that accept, are subscribed, and are not being reloaded by this roll, less those
that the same step has already taken. A vassal that serves under no key can be taken at any time.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import chain

from uwsgi_reload_hook.model import Snapshot, Vassal
from uwsgi_reload_hook.planning import absence, canary, pace, phases, room, waking
from uwsgi_reload_hook.planning.roll import Action, Phase, Progress, Request, Result, Roll, Step
from uwsgi_reload_hook.planning.room import Kind, Room
from uwsgi_reload_hook.planning.transitions import Moment, Moved
from uwsgi_reload_hook.settings import Settings

_NONE: frozenset[str] = frozenset()
NAMED = 5
"""How many vassals a reason names."""

__all__ = ["abort", "fail_vassal", "open_roll", "plan"]


def open_roll(
    snapshot: Snapshot,
    settings: Settings,
    request: Request,
    now: float,
    known_keys: Mapping[str, frozenset[str]],
) -> Roll:
    """Begin a roll of every vassal that the settings and the request name, in the order of their ids.

    Nothing is taken out of service yet.

    `known_keys` are the keys of earlier looks: a vassal that is down shows none. One that does not subscribe any more
    is not waited for.
    """
    aside = {vassal.id: why for vassal in snapshot.vassals.values() if (why := _why_aside(vassal, settings, request))}
    rolled = {
        vassal.id: Progress(
            id=vassal.id,
            since=now,
            keys=vassal.keys or (known_keys.get(vassal.id, _NONE) if vassal.may_subscribe else _NONE),
            first_pid=vassal.pid if vassal.present else None,
        )
        for _, vassal in sorted(snapshot.vassals.items())
        if vassal.id not in aside
    }
    roll = Roll(
        id=f"{request.mtime_ns}-{int(snapshot.wall * 1000)}",
        request=request,
        started=now,
        started_wall=snapshot.wall,
        vassals=rolled,
        aside=aside,
        aside_keys={id_: keys for id_ in aside if (keys := snapshot.vassals[id_].keys)},
        key_routers=absence.key_routers(snapshot),
        routers=snapshot.routers,
        emperor_pid=snapshot.emperor_pid,
        moved=now,
    )
    roll = replace(roll, minimum=room.minimum(snapshot, roll, settings))
    why = _refusal(snapshot, roll) if rolled else _nobody(aside)
    return replace(roll, result=Result.REFUSED, finished=now, reason=why) if why else roll


def _nobody(aside: Mapping[str, str]) -> str:
    """Why a roll has no vassal: the first few that are left alone, and what for."""
    if not aside:
        return "there is no vassal to roll: the Emperor runs none"
    named = [f"{id_}: {why}" for id_, why in sorted(aside.items())]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"there is no vassal to roll ({_count(len(named))} left alone): {'; '.join(named[:NAMED])}{more}"


def _why_aside(vassal: Vassal, settings: Settings, request: Request) -> str:
    if vassal.aside:
        return vassal.aside
    if not vassal.config_exists and not vassal.is_lost:
        return "its config was removed"
    if not vassal.id.endswith(settings.vassal_config_file_suffix):
        return f"its config does not end with {settings.vassal_config_file_suffix}"
    if not any(fnmatch.fnmatchcase(vassal.id, glob) for glob in settings.vassals):
        return "not named by reload-hook-vassals"
    if not fnmatch.fnmatchcase(vassal.id, request.only):
        return "not named by the trigger's only="
    return ""


def _refusal(snapshot: Snapshot, roll: Roll) -> str:
    seen = snapshot.vassals
    if lost := [id_ for id_ in roll.vassals if seen[id_].is_lost]:
        return (
            f"the Emperor runs {', '.join(lost[:NAMED])}, of which the hook finds no config: see that "
            "reload-hook-emperor-path, if it is set, names where the Emperor finds them"
        )
    lonely = [id_ for id_, one in roll.vassals.items() if not one.keys and _may_be_unowned(seen[id_])]
    if snapshot.unowned and lonely:
        return (
            f"it cannot be told whether {min(snapshot.unowned)}, a node at the router, is {lonely[0]}, so no minimum "
            "can be kept: run the hook as the user of the Emperor, name the sockets of vassals after their configs, or "
            "roll only vassals that subscribe (reload-hook-vassals)"
        )
    unknown = [snapshot.vassals[id_] for id_, progress in roll.vassals.items() if not progress.keys]
    if any(room.is_down(vassal) or room.may_announce_itself(vassal) for vassal in unknown):
        return ""  # it may turn out to serve the key that lacks vassals
    rolled = frozenset().union(*(progress.keys for progress in roll.vassals.values()))
    for key, count in sorted(room.members(snapshot, roll).items()):
        minimum = roll.minimum[key]
        if count <= minimum and key in rolled:
            return (
                f"key {key} has {_count(count)} and the minimum is {minimum}, so none can be reloaded: "
                "add vassals, or lower reload-hook-minimum-active-vassals (0 allows a pause in which requests queue; a "
                "percentage is written 50%% in an ini)"
            )
    return ""


def _may_be_unowned(vassal: Vassal) -> bool:
    """Whether a node of nobody may be this vassal's: of one that subscribes nowhere none is, whoever announces what."""
    return vassal.accepting and vassal.may_subscribe


def _count(vassals: int) -> str:
    return "1 vassal" if vassals == 1 else f"{vassals} vassals"


def plan(snapshot: Snapshot, roll: Roll, settings: Settings, now: float) -> Step:
    """Take one step of a roll that is not over. `now` is monotonic seconds."""
    moment = Moment(snapshot, settings, now, roll.ignored_by)
    before = roll.vassals
    roll, actions = _advance(absence.note_routers(roll, moment), moment)
    woken, nudges = waking.wake(roll, snapshot)
    roll = _stopped(replace(roll, vassals={**roll.vassals, **woken}), moment)
    draining = roll.within(Phase.DRAINING)
    if roll.stop is None and draining:  # what has failed since the last look keeps the drained ones from being touched
        roll, more = _advance_draining(roll, draining, moment)
        roll, actions = _stopped(roll, moment), (*actions, *more)
    roll = canary.note(replace(roll, minimum=room.minimum(snapshot, roll, settings)), settings, now)
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
    return Step((*actions, *nudges, *more), roll, pace.pause(roll, settings, now))


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


def _advance(roll: Roll, moment: Moment) -> tuple[Roll, tuple[Action, ...]]:
    """Move all that are not draining, those too that are done and have died since."""
    draining, done = Phase.DRAINING, Phase.DONE
    these = [one for one in roll.vassals.values() if one.phase is done or not (one.phase.over or one.phase is draining)]
    return _merged(roll, room.spare(_moves(these, moment), moment.snapshot, roll))


def _advance_draining(roll: Roll, draining: Iterable[Progress], moment: Moment) -> tuple[Roll, tuple[Action, ...]]:
    """Move those that are draining, and touch some. If one of them fails, none is touched.

    Those that the minimum needs again get their traffic back, as another vassal has died.
    """
    moves = _moves(draining, moment)
    roll = replace(roll, ignored_by=roll.ignored_by.union(*(new.ignored_by for new, _ in moves)))
    failures = [(new, actions) for new, actions in moves if new.phase is Phase.FAILED]
    if failures:
        return _merged(roll, failures)
    needed = room.needed(draining, moment.snapshot, roll)
    why = "given its traffic back: another vassal serves no more, and the minimum needs this one"
    back = [phases.give_back(progress, moment.now, why) for progress in draining if progress.id in needed]
    moves = [move for move in moves if move[0].id not in needed]
    return _merged(roll, [*back, *waking.spread(moves, roll, moment)])


def _moves(these: Iterable[Progress], moment: Moment) -> list[Moved]:
    seen = moment.snapshot.vassals
    return [phases.advance(progress, seen[progress.id], moment) for progress in these]


def _merged(roll: Roll, moves: Collection[Moved]) -> tuple[Roll, tuple[Action, ...]]:
    vassals = {**roll.vassals, **{new.id: new for new, _ in moves}}
    return replace(roll, vassals=vassals), tuple([action for _, actions in moves for action in actions])


def _stopped(roll: Roll, moment: Moment) -> Roll:
    if roll.stop is not None:
        return roll
    if failed := roll.within(Phase.FAILED):
        return replace(roll, stop=Result.FAILED, reason="; ".join(f"{one.id}: {one.reason}" for one in failed))
    limit = moment.settings.deadline
    left = any(not one.phase.over for one in roll.vassals.values())
    if limit and left and moment.now - roll.started >= limit:
        return replace(roll, stop=Result.TIMED_OUT, reason=f"the deadline of {limit:g} s was reached")
    return roll


def _refused_late(roll: Roll, moment: Moment) -> Roll:
    """Refuse a roll of which nobody was taken yet, where the keys that a router listed later leave no room at all."""
    if roll.stop is not None or any(one.phase is not Phase.PENDING for one in roll.vassals.values()):
        return roll
    why = _refusal(moment.snapshot, roll)
    return replace(roll, stop=Result.REFUSED, reason=why) if why else roll


def _return_drained(roll: Roll, now: float, reason: str) -> tuple[Roll, tuple[Action, ...]]:
    why = f"given its traffic back: {reason}"
    return _merged(roll, [phases.give_back(progress, now, why) for progress in roll.within(Phase.DRAINING)])


def _stalled(roll: Roll, moment: Moment) -> Roll:
    """Stop a roll that waits for room which does not come: a vassal died by itself, or never came back."""
    limit = moment.settings.timeout
    since = max(roll.moved, moment.now if canary.seconds_left(roll, moment.settings, moment.now) else roll.moved)
    if roll.stop is not None or moment.now - since < limit or absence.unsettled(roll, moment):
        return roll
    pending = roll.within(Phase.PENDING)
    seen = moment.snapshot.vassals
    awaited = any(absence.is_awaited(progress, seen[progress.id], moment) for progress in roll.vassals.values())
    if awaited:
        return roll
    waiting = [progress.id for progress in pending]
    if not waiting or any(progress.phase.in_flight for progress in roll.vassals.values()):
        return roll
    serve = room.serving(moment.snapshot, roll)
    short = ", ".join(f"{key}: {serve[key]} of {number} needed" for key, number in sorted(roll.minimum.items()))
    reason = f"no room for {', '.join(sorted(waiting))} within {limit:g} s (serving under {short})"
    if lost := [id_ for id_ in sorted(waiting) if not seen[id_].config_exists]:
        reason += f"; the Emperor runs {', '.join(lost)}, of which no config is found"
    return replace(roll, stop=Result.TIMED_OUT, reason=reason)


def _ended(roll: Roll, moment: Moment) -> Roll:
    now = moment.now
    if any(progress.phase.in_flight for progress in roll.vassals.values()):
        return roll
    if roll.stop is not None:
        return replace(roll, result=roll.stop, finished=now)
    if roll.within(Phase.PENDING) or canary.seconds_left(roll, moment.settings, now):
        return roll
    return replace(roll, result=Result.DONE, finished=now)


def _candidates(roll: Roll, moment: Moment) -> tuple[list[tuple[str, Kind]], Collection[Kind]]:
    """The pending vassals in the order in which they are taken, each with its kind; and the kinds, which are few."""
    seen, served = moment.snapshot.vassals, moment.snapshot.served
    young = moment.now - roll.started < moment.settings.timeout
    kinds: dict[tuple[frozenset[str], frozenset[str], bool, bool, frozenset[str], bool, bool, bool], Kind] = {}
    ranks: list[list[tuple[str, Kind]]] = [[] for _ in range(room.LAST + 1)]
    for progress in roll.within(Phase.PENDING):
        id_, keys = progress.id, progress.keys
        vassal, serves = seen[id_], served[id_]
        unseen = progress.unseen_since is not None and vassal.accepting
        unlisted = keys - serves if unseen else _NONE
        down = room.is_down(vassal) or bool(keys and not serves and not unlisted)
        starting = vassal.present and not vassal.accepting
        settling = starting and young and (down or (not keys and room.is_starting(vassal)))
        overdue = unseen and not absence.is_awaited(progress, vassal, moment)
        traits = (serves, keys, down, settling, unlisted, overdue, unseen and not keys, vassal.is_lost)
        kind = kinds.get(traits)
        if kind is None:
            kind = kinds[traits] = Kind(*traits)
        ranks[kind.rank].append((id_, kind))
    return [*chain.from_iterable(ranks)], kinds.values()


def _take(roll: Roll, moment: Moment) -> tuple[Roll, tuple[Action, ...]]:
    """Take as many vassals out of service as the invariant, the canary and the window allow."""
    candidates, kinds = _candidates(roll, moment)
    if not candidates:
        return roll, ()
    vassals = dict(roll.vassals)
    actions: list[Action] = []
    free = Room(moment, roll, better_canary=any(kind.settling for kind in kinds))
    for id_, kind in candidates:
        if free.allows(kind):
            nodes = [node for node in free.take(id_, kind, moment.snapshot) if node.router not in roll.ignored_by]
            vassals[id_], more = phases.begin(vassals[id_], moment.snapshot.vassals[id_], tuple(nodes), moment)
            actions.extend(more)
    return replace(roll, vassals=vassals), tuple(actions)
