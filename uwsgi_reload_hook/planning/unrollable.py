"""Keys without room: no vassal of theirs can be reloaded, because the minimum needs each one that they have.

The vassals of such a key are left alone, and the others are rolled. A roll that has left some is `refused` at its end,
because the minimum could not be kept for all of them: it is not `done`, and nothing of it has failed, so there is
nothing to undo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uwsgi_reload_hook.planning import counts
from uwsgi_reload_hook.planning.budget import leaves_enough
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Result, Roll
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["exclude_unrollable", "result_of_finished", "vassals_in_words"]


def exclude_unrollable(snapshot: Snapshot, roll: Roll) -> tuple[Roll, str]:
    """Leave the vassals of keys without room alone, while nobody was taken yet.

    Returns why the roll has to be refused too, because nobody would remain; empty = somebody does.
    """
    reasons = _without_room(snapshot, roll)
    if not reasons:
        return roll, ""
    now = " and ".join(reasons[key] for key in sorted(reasons)) + _ADVICE
    why = f"{roll.left}; {now}" if roll.left else now
    excluded = {
        id_: " and ".join(reasons[key] for key in sorted(keys))
        for id_, one in roll.vassals.items()
        if one.phase is Phase.PENDING and (keys := one.keys & reasons.keys())
    }
    remaining = {id_: one for id_, one in roll.vassals.items() if id_ not in excluded}
    if not any(one.phase is Phase.PENDING for one in remaining.values()):
        return roll, why
    keys_left = {id_: roll.vassals[id_].keys for id_ in excluded}
    left = replace(
        roll,
        vassals=remaining,
        excluded={**roll.excluded, **excluded},
        excluded_keys={**roll.excluded_keys, **keys_left},
        left=why,
    )
    return left, ""


_ADVICE = (
    ": add vassals, or lower reload-hook-minimum-active-vassals, for one key as in blog=0 (0 allows a pause in which "
    "requests queue; a percentage is written 50%% in an ini)"
)


def _without_room(snapshot: Snapshot, roll: Roll) -> Mapping[str, str]:
    """The keys of the roll that have no room, and why."""
    pending = roll.within(Phase.PENDING)
    unknown = [snapshot.vassals[one.id] for one in pending if not one.keys]
    if any(counts.is_down(vassal) or counts.may_announce_itself(vassal) for vassal in unknown):
        return {}  # it may turn out to serve the key that lacks vassals
    rolled = frozenset().union(*(one.keys for one in pending))
    members = counts.members_by_key(snapshot, roll)
    return {
        key: f"key {key} has {vassals_in_words(members[key])} and the minimum is {roll.minimum[key]}, so none can be "
        "reloaded"
        for key in rolled & members.keys()
        if not leaves_enough(members[key], roll.minimum[key])
    }


def result_of_finished(roll: Roll) -> tuple[Result, str]:
    """The result of a roll of which no vassal is pending or out of service, and its reason."""
    done = len(roll.within(Phase.DONE))
    if roll.left:
        return Result.REFUSED, f"{roll.left}; the others were rolled: {vassals_in_words(done)} reloaded"
    if not done:
        named = "; ".join(f"{one.id}: {one.reason}" for one in roll.vassals.values())
        return Result.REFUSED, f"no vassal was left to roll: {named}"
    return Result.DONE, roll.reason


def vassals_in_words(count: int) -> str:
    """A number of vassals, in words."""
    return "1 vassal" if count == 1 else f"{count} vassals"
