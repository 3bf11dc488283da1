"""Decides what to do at one look: who is drained, touched, subscribed again, and when a roll is over. Pure.

The invariant, after every step and for every subscription key:

    a step takes a serving vassal out of service only while `serving - 1 >= minimum` holds for each of its keys

where `serving` counts the vassals that accept, are subscribed, and are not being reloaded by this roll, less those
that the same step has already taken. A vassal that serves under no key can be taken at any time.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from uwsgi_reload_hook import phases
from uwsgi_reload_hook.model import Action, Node, Phase, Progress, Request, Result, Roll, Snapshot, Step, Vassal
from uwsgi_reload_hook.phases import Moment
from uwsgi_reload_hook.settings import Settings

__all__ = ["abort", "fail_vassal", "open_roll", "plan", "serving"]

EVERYTHING = ""
"""Stands beside the real keys in the canary rule: the first wave of the whole roll."""


def open_roll(
    snapshot: Snapshot,
    settings: Settings,
    request: Request,
    now: float,
    known_keys: Mapping[str, frozenset[str]],
) -> Roll:
    """Begin a roll of every vassal that the settings and the request name. Nothing is taken out of service yet.

    `known_keys` are the keys of earlier looks: a vassal that is down shows none.
    """
    aside = {vassal.id: why for vassal in snapshot.vassals.values() if (why := _why_aside(vassal, settings, request))}
    rolled = {
        vassal.id: Progress(
            id=vassal.id,
            since=now,
            keys=vassal.keys or known_keys.get(vassal.id, frozenset()),
            first_pid=vassal.pid if vassal.present else None,
        )
        for vassal in snapshot.vassals.values()
        if vassal.id not in aside
    }
    roll = Roll(
        id=f"{request.mtime_ns}-{int(snapshot.wall * 1000)}",
        request=request,
        started=now,
        started_wall=snapshot.wall,
        vassals=rolled,
        aside=aside,
        moved=now,
    )
    roll = replace(roll, minimum=_minimum(snapshot, roll, settings))
    if not rolled:
        reason = f"there is no vassal to roll ({_count(len(aside))} left alone)"
        return replace(roll, result=Result.DONE, finished=now, reason=reason)
    if why := _refusal(snapshot, roll):
        return replace(roll, result=Result.REFUSED, finished=now, reason=why)
    return roll


def _why_aside(vassal: Vassal, settings: Settings, request: Request) -> str:
    if vassal.aside:
        return vassal.aside
    if not vassal.config_exists:
        return "its config was removed"
    if not vassal.id.endswith(settings.vassal_config_file_suffix):
        return f"its config does not end with {settings.vassal_config_file_suffix}"
    if not any(fnmatch.fnmatchcase(vassal.id, glob) for glob in settings.vassals):
        return "not named by reload-hook-vassals"
    if not fnmatch.fnmatchcase(vassal.id, request.only):
        return "not named by the trigger's only="
    return ""


def _refusal(snapshot: Snapshot, roll: Roll) -> str:
    if any(not progress.keys and _down(snapshot.vassals[id_]) for id_, progress in roll.vassals.items()):
        return ""  # one that is down may turn out to serve the key that lacks vassals
    for key, members in sorted(_members(snapshot, roll).items()):
        minimum = roll.minimum[key]
        if len(members) <= minimum and any(id_ in roll.vassals for id_ in members):
            return (
                f"key {key} has {_count(len(members))} and the minimum is {minimum}, so none can be reloaded: "
                "add vassals, or lower reload-hook-minimum-active-vassals (0 allows a pause in which requests queue)"
            )
    return ""


def _count(vassals: int) -> str:
    return "1 vassal" if vassals == 1 else f"{vassals} vassals"


def plan(snapshot: Snapshot, roll: Roll, settings: Settings, now: float) -> Step:
    """Take one step of a roll that is not over. `now` is monotonic seconds."""
    moment = Moment(snapshot, settings, now)
    before = roll.vassals
    roll, actions = _advance(roll, moment)
    roll = replace(roll, minimum=_minimum(snapshot, roll, settings))
    roll = _stopped(roll, moment)
    if roll.stop is None:
        roll, more = _take(roll, moment)
    else:
        roll, more = _return_drained(roll, now, roll.reason)
    if any(roll.vassals[id_].phase is not progress.phase for id_, progress in before.items()):
        roll = replace(roll, moved=now)
    roll = _ended(_stalled(roll, moment), now)
    return Step((*actions, *more), roll, _pause(roll, settings, now))


def abort(roll: Roll, now: float, result: Result, reason: str) -> Step:
    """End a roll at once, without a look, giving traffic back to whoever was drained and not touched."""
    roll, actions = _return_drained(roll, now, reason)
    return Step(actions, replace(roll, stop=result, result=result, reason=reason, finished=now))


def fail_vassal(roll: Roll, id_: str, reason: str, now: float) -> Step:
    """Record that an act on a vassal was refused by the system, and give it back its traffic; the next step stops."""
    progress, actions = phases.refused(roll.vassals[id_], now, reason)
    return Step(actions, replace(roll, vassals={**roll.vassals, id_: progress}, moved=now))


def _advance(roll: Roll, moment: Moment) -> tuple[Roll, tuple[Action, ...]]:
    vassals = dict(roll.vassals)
    actions: list[Action] = []
    for id_, progress in roll.vassals.items():
        vassals[id_], more = phases.advance(progress, moment.snapshot.vassals[id_], moment)
        actions.extend(more)
    return replace(roll, vassals=vassals), tuple(actions)


def _stopped(roll: Roll, moment: Moment) -> Roll:
    if roll.stop is not None:
        return roll
    failed = [progress for progress in roll.vassals.values() if progress.phase is Phase.FAILED]
    if failed:
        return replace(roll, stop=Result.FAILED, reason="; ".join(f"{one.id}: {one.reason}" for one in failed))
    limit = moment.settings.deadline
    if limit and moment.now - roll.started >= limit:
        return replace(roll, stop=Result.TIMED_OUT, reason=f"the deadline of {limit:g} s was reached")
    return roll


def _return_drained(roll: Roll, now: float, reason: str) -> tuple[Roll, tuple[Action, ...]]:
    vassals = dict(roll.vassals)
    actions: list[Action] = []
    for id_, progress in roll.vassals.items():
        if progress.phase is Phase.DRAINING:
            vassals[id_], more = phases.give_back(progress, now, f"given its traffic back: {reason}")
            actions.extend(more)
    return replace(roll, vassals=vassals), tuple(actions)


def _stalled(roll: Roll, moment: Moment) -> Roll:
    """Stop a roll that waits for room which does not come: a vassal died by itself, or never came back."""
    flying = any(progress.phase.in_flight for progress in roll.vassals.values())
    waiting = [id_ for id_, progress in roll.vassals.items() if progress.phase is Phase.PENDING]
    limit = moment.settings.timeout
    if roll.stop is not None or flying or not waiting or moment.now - roll.moved < limit:
        return roll
    serve = serving(moment.snapshot, roll)
    short = ", ".join(f"{key}: {serve[key]} of {number} needed" for key, number in sorted(roll.minimum.items()))
    reason = f"no room for {', '.join(sorted(waiting))} within {limit:g} s (serving under {short})"
    return replace(roll, stop=Result.TIMED_OUT, reason=reason)


def _ended(roll: Roll, now: float) -> Roll:
    if any(progress.phase.in_flight for progress in roll.vassals.values()):
        return roll
    if roll.stop is not None:
        return replace(roll, result=roll.stop, finished=now)
    if any(progress.phase is Phase.PENDING for progress in roll.vassals.values()):
        return roll
    return replace(roll, result=Result.DONE, finished=now)


def _members(snapshot: Snapshot, roll: Roll) -> dict[str, set[str]]:
    """For each key the ids of its vassals: those that serve it, and those of the roll that are known to."""
    members: dict[str, set[str]] = {}
    for vassal in snapshot.vassals.values():
        for key in vassal.keys:
            members.setdefault(key, set()).add(vassal.id)
    for progress in roll.vassals.values():
        for key in progress.keys:
            members.setdefault(key, set()).add(progress.id)
    withdrawn = {id_ for id_, progress in roll.vassals.items() if progress.phase is Phase.WITHDRAWN}
    return {key: ids - withdrawn for key, ids in members.items()}


def _minimum(snapshot: Snapshot, roll: Roll, settings: Settings) -> dict[str, int]:
    return {key: settings.minimum_active_vassals.of(len(ids)) for key, ids in _members(snapshot, roll).items()}


def serving(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key, the vassals that accept, are subscribed, and are not being reloaded by the roll."""
    count: Counter[str] = Counter()
    for vassal in snapshot.vassals.values():
        progress = roll.vassals.get(vassal.id)
        if progress is None or not progress.phase.in_flight:
            count.update(_serves(snapshot, vassal))
    return count


def _serves(snapshot: Snapshot, vassal: Vassal) -> frozenset[str]:
    if vassal.present and vassal.accepting and not vassal.cursed:
        return snapshot.live_keys(vassal)
    return frozenset()


def _down(vassal: Vassal) -> bool:
    return not vassal.present or vassal.cursed or vassal.blacklisted is not None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A pending vassal; those that are down are the best canaries, those without a router come last."""

    id: str
    serves: frozenset[str]
    keys: frozenset[str]
    down: bool
    settling: bool
    """Down, and starting by itself at this moment: to touch it now would mix the two starts."""

    @property
    def last(self) -> bool:
        return not self.keys and not self.down


def _candidates(roll: Roll, moment: Moment) -> list[_Candidate]:
    found = []
    for progress in roll.vassals.values():
        if progress.phase is not Phase.PENDING:
            continue
        vassal = moment.snapshot.vassals[progress.id]
        serves = _serves(moment.snapshot, vassal)
        down = _down(vassal) or bool(progress.keys and not serves)
        starting = vassal.present and not vassal.accepting and moment.now - roll.started < moment.settings.timeout
        found.append(_Candidate(progress.id, serves, progress.keys, down, down and starting))
    return sorted(found, key=lambda one: (not one.down, one.last, one.id))


def _take(roll: Roll, moment: Moment) -> tuple[Roll, tuple[Action, ...]]:
    """Take as many vassals out of service as the invariant, the canary and the window allow."""
    vassals = dict(roll.vassals)
    actions: list[Action] = []
    free = {key: number - roll.minimum.get(key, 0) for key, number in serving(moment.snapshot, roll).items()}
    candidates = _candidates(roll, moment)
    awaited = any(one.settling for one in candidates)
    for one in candidates:
        if one.settling or not _window(vassals.values(), moment.settings):
            continue
        if not _canary_allows(one, vassals.values(), moment.settings.canary, best_to_come=awaited and not one.down):
            continue
        if one.last and any(_has_router(progress) for progress in vassals.values()):
            continue
        if any(free[key] < 1 for key in one.serves):
            continue
        free.update({key: free[key] - 1 for key in one.serves})
        nodes = _drainable(one, vassals, moment.snapshot)
        vassals[one.id], more = phases.begin(vassals[one.id], moment.snapshot.vassals[one.id], nodes, moment)
        actions.extend(more)
    return replace(roll, vassals=vassals), tuple(actions)


def _window(vassals: Iterable[Progress], settings: Settings) -> bool:
    flying = sum(progress.phase.in_flight for progress in vassals)
    return settings.maximum_parallel == 0 or flying < settings.maximum_parallel


def _canary_allows(one: _Candidate, vassals: Iterable[Progress], size: int, *, best_to_come: bool) -> bool:
    """Whether the first wave is over, or has a place left; for the whole roll, and for each key by itself.

    `best_to_come`: a vassal that is down is about to settle, and will be the better canary.
    """
    begun: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for progress in vassals:
        groups = (EVERYTHING, *progress.keys)
        begun.update(groups if progress.phase.in_flight or progress.phase is Phase.DONE else ())
        done.update(groups if progress.phase is Phase.DONE else ())
    if size and best_to_come and done[EVERYTHING] < size:
        return False
    return all(done[group] >= size or begun[group] < size for group in (EVERYTHING, *one.keys))


def _has_router(progress: Progress) -> bool:
    return bool(progress.keys) and (progress.phase is Phase.PENDING or progress.phase.in_flight)


def _drainable(one: _Candidate, vassals: Mapping[str, Progress], snapshot: Snapshot) -> tuple[Node, ...]:
    """Those of its live nodes whose key is served by another vassal too: the others keep their requests queueing."""
    others: Counter[str] = Counter()
    for vassal in snapshot.vassals.values():
        progress = vassals.get(vassal.id)
        if vassal.id != one.id and (progress is None or not progress.phase.in_flight):
            others.update(_serves(snapshot, vassal))
    nodes = snapshot.vassals[one.id].nodes
    return tuple(node for node in nodes if snapshot.live(node) and (node.key not in one.serves or others[node.key]))


FAST = 0.01
STEADY = 0.03


def _pause(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds to the next look: short where the next change is milliseconds away, longer where an application loads."""
    if roll.result is not None:
        return 0.0
    wait = settings.check_interval
    for progress in roll.vassals.values():
        if progress.phase in {Phase.DRAINING, Phase.TOUCHED} and now - progress.since < 1:
            wait = min(wait, FAST)
        elif progress.phase.in_flight:
            wait = min(wait, STEADY)
    return wait
