"""Who may be taken out of service at one look: the minimum, the canary and the window, counted once and kept up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from uwsgi_reload_hook.planning import absence, canary
from uwsgi_reload_hook.planning.roll import Action, Phase, Progress, Roll, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "Budget",
    "Candidate",
    "is_down",
    "is_starting",
    "may_announce_itself",
    "members",
    "minimum",
    "needed",
    "serving",
    "spare",
]

LAST = 2
_NONE: frozenset[str] = frozenset()
EVERYTHING = ""
"""Stands beside the real keys in the canary rule: the first wave of the whole roll."""


def is_down(vassal: Vassal) -> bool:
    """Whether it does not run as it should, whatever the routers say."""
    return not vassal.present or vassal.cursed or vassal.blacklisted is not None


def is_starting(vassal: Vassal) -> bool:
    """Whether it is on its way up, and will announce itself: nobody knows its keys yet, but its config has some."""
    return vassal.present and not vassal.accepting and not vassal.nodes and vassal.may_subscribe


def may_announce_itself(vassal: Vassal) -> bool:
    """Whether nobody knows its keys, and its config has some: a router that was started anew lists nobody at first."""
    return vassal.present and not vassal.nodes and vassal.may_subscribe


def serving(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key, the vassals that accept, are subscribed, and are not being reloaded by the roll."""
    flying = {id_ for id_, progress in roll.vassals.items() if progress.phase.in_flight}
    return Counter(chain.from_iterable(served for id_, served in snapshot.served.items() if id_ not in flying))


def accepting(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key, the vassals that accept, by the Emperor's word, are known to serve it, and are not being reloaded.

    A router that forgets its vassals changes nothing about them.
    """
    return Counter(
        chain.from_iterable(
            _member_of(vassal, progress, roll.aside_keys.get(vassal.id, _NONE))
            for vassal in snapshot.vassals.values()
            if vassal.accepting and vassal.present and vassal.config_exists and not vassal.cursed
            if (progress := roll.vassals.get(vassal.id)) is None or not progress.phase.in_flight
        )
    )


def members(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key the number of its vassals: those that serve it, and those of the roll that are known to."""
    return Counter(
        chain.from_iterable(
            _member_of(vassal, roll.vassals.get(vassal.id), roll.aside_keys.get(vassal.id, _NONE))
            for vassal in snapshot.vassals.values()
        )
    )


def _member_of(vassal: Vassal, progress: Progress | None, aside_keys: frozenset[str]) -> frozenset[str]:
    if progress is None:
        return vassal.keys | aside_keys if vassal.config_exists else _NONE
    if progress.phase is Phase.WITHDRAWN:
        return _NONE
    return progress.keys | vassal.keys if progress.phase.over else progress.keys


def minimum(snapshot: Snapshot, roll: Roll, settings: Settings) -> dict[str, int]:
    """For each key, how many must serve."""
    return {key: settings.minimum_active_vassals.of(count) for key, count in members(snapshot, roll).items()}


def spare(moves: Collection[Transition], snapshot: Snapshot, roll: Roll) -> Collection[Transition]:
    """Leave those their traffic that are to lose it for their answer to the probe, where the minimum needs them.

    Each of them was reloaded, or started anew by itself, and is back in the routers already.
    """
    if not any(_loses_traffic(*move) for move in moves):
        return moves
    serve = Counter(chain.from_iterable(snapshot.served.values()))
    kept: list[Transition] = []
    for new, actions in moves:
        keys = snapshot.served[new.id] if _loses_traffic(new, actions) else _NONE
        if short := sorted(key for key in keys if serve[key] <= roll.minimum.get(key, 0)):
            why = f"{new.reason}; it keeps its traffic, as the minimum of {', '.join(short)} needs it"
            kept.append((new._replace(reason=why) if new.phase is Phase.FAILED else new, ()))
        else:
            serve.subtract(keys)
            kept.append((new, actions))
    return kept


def _loses_traffic(new: Progress, actions: Iterable[Action]) -> bool:
    judged = new.phase is Phase.WARMING or new.phase is Phase.FAILED
    return judged and any(isinstance(action, Suspend | Unsubscribe) for action in actions)


def needed(draining: Iterable[Progress], snapshot: Snapshot, roll: Roll) -> frozenset[str]:
    """Those not touched yet without which a key has fewer than its minimum, as others have gone since; last come first.

    One that did not serve when it was taken is of no use to anybody.
    """
    draining = [*draining]
    listed, told = Counter(roll.minimum), Counter(roll.minimum)
    listed.subtract(serving(snapshot, roll))
    if any(progress.unseen_since is not None for progress in draining):
        told.subtract(accepting(snapshot, roll))
    back = set()
    for progress in reversed(draining):
        short = listed if progress.unseen_since is None else told  # by whose word it was taken
        keys = {node.key for node in progress.nodes if short[node.key] > 0}
        if keys and progress.pid is not None and snapshot.vassals[progress.id].accepting:
            back.add(progress.id)
            for count in (listed, told):
                count.subtract({node.key for node in progress.nodes})
    return frozenset(back)


@dataclass(frozen=True, eq=False)
class Candidate:
    """All that decides whether a pending vassal has room; vassals that are alike in it share one object."""

    serves: frozenset[str]
    keys: frozenset[str]
    down: bool
    """It is the best canary."""
    settling: bool
    """Starting by itself at this moment: to touch it now would mix the two starts, and its announcement be lost."""
    unlisted: frozenset[str] = _NONE
    """Keys under which no router lists it, though it accepts: it may serve them all the same."""
    overdue: bool = False
    """It had time to announce itself, so the Emperor's word decides whether there is room."""
    unknown: bool = False
    """It accepts, and its config may subscribe it, but nobody knows its keys: it goes alone, once that is overdue."""
    lost: bool = False
    """The Emperor runs it, and its config was not found."""

    @cached_property
    def rank(self) -> int:
        """What comes first is the lower rank: the one that serves nothing, and last the one that has no router."""
        if self.down or (self.unlisted and not self.serves):
            return 0
        return 1 if self.keys else LAST

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of which it may be a canary."""
        return (EVERYTHING, *self.keys)


class Budget:
    """What is free. `allows` asks for one vassal, `take` takes it; both cost the same for any number of vassals.

    Nothing becomes free again: of two vassals of one kind, none has room where the other had none.
    """

    def __init__(self, moment: Context, roll: Roll, *, better_canary: bool) -> None:
        """Count, once. `better_canary`: a vassal that is down is about to settle, and goes first."""
        snapshot = moment.snapshot
        self._settings = moment.settings
        self._better_canary = better_canary
        self._serving = serving(snapshot, roll)
        self._told: Counter[str] | None = None
        """Those that accept by the Emperor's word, counted when somebody asks: that is seldom."""
        self._taken: Counter[Candidate] = Counter()
        self._seen = snapshot, roll
        self._minimum = roll.minimum
        self._at_minimum = {key for key, number in self._serving.items() if number <= roll.minimum.get(key, 0)}
        self._flying = 0
        self._unfinished = 0
        self._refused: set[Candidate] = set()
        self._begun: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._proven: Counter[str] = Counter()
        self._unknown_flying = 0
        oldest = canary.oldest_watched(moment.settings, moment.now)
        done = Phase.DONE
        alike = Counter(
            [
                (one.phase, one.keys, one.phase is done and (one.finished is None or one.finished <= oldest))
                for one in roll.vassals.values()
            ]
        )
        for (phase, keys, proven), number in alike.items():
            self._count(phase, keys, number, proven=proven)
        if self._flying:
            flying = (one for one in roll.vassals.values() if one.phase.in_flight)
            self._unknown_flying = sum(not one.keys and one.unseen_since is not None for one in flying)

    def _count(self, phase: Phase, keys: frozenset[str], number: int, *, proven: bool) -> None:
        if phase.in_flight:
            self._flying += number
        if keys and (phase.in_flight or phase is Phase.PENDING):
            self._unfinished += number
        for group in (EVERYTHING, *keys):
            if phase.in_flight or phase is Phase.DONE:
                self._begun[group] += number
            if phase is Phase.DONE:
                self._done[group] += number
            if phase is Phase.DONE and proven:
                self._proven[group] += number

    def allows(self, one: Candidate) -> bool:
        """Whether a vassal of this kind can be taken now."""
        if one in self._refused:
            return False
        has_room = self._has_room(one)
        if not has_room:
            self._refused.add(one)
        return has_room

    def _has_room(self, one: Candidate) -> bool:
        limit = self._settings.maximum_parallel
        return (
            not (one.settling or one.lost)
            and not (one.unknown and (self._unknown_flying or not one.overdue))
            and (limit == 0 or self._flying < limit)
            and not (self._unfinished and one.rank == LAST)
            and one.serves.isdisjoint(self._at_minimum)
            and self._unlisted_has_room(one)
            and self._canary_allows(one)
        )

    def _unlisted_has_room(self, one: Candidate) -> bool:
        """Whether enough others serve; or, for one that had time to announce itself, whether enough others accept."""
        minimum = self._minimum
        if all(self._serving[key] >= minimum.get(key, 0) for key in one.unlisted):
            return True
        return one.overdue and all(self._accepting(key) > minimum.get(key, 0) for key in one.unlisted)

    def _accepting(self, key: str) -> int:
        """How many accept and are known to serve a key, less those that this step has taken."""
        if self._told is None:
            self._told = accepting(*self._seen)
        return self._told[key] - sum(number for one, number in self._taken.items() if key in one.serves | one.unlisted)

    def _canary_allows(self, one: Candidate) -> bool:
        """Whether the first wave is over, or has a place left; for the whole roll, and for each key by itself.

        A first wave is over once it has lived for `canary-time`.
        """
        size = self._settings.canary
        if not size:
            return True
        if self._better_canary and not one.down and self._done[EVERYTHING] < size:
            return False
        return all(self._proven[group] >= size or self._begun[group] < size for group in one.groups)

    def take(self, id_: str, one: Candidate, snapshot: Snapshot) -> tuple[Node, ...]:
        """Take a vassal, and return those of its live nodes whose key another vassal serves too.

        The others stay in the router, so that requests queue in the vassal's socket instead of failing.
        """
        alone = False
        for key in one.serves:
            left = self._serving[key] = self._serving[key] - 1
            if left <= self._minimum.get(key, 0):
                self._at_minimum.add(key)
            alone = alone or not left
        self._taken[one] += 1
        if self._settings.canary:
            self._begun.update(one.groups)
        self._flying += 1
        self._unknown_flying += one.unknown
        live = absence.routed(snapshot.vassals[id_], snapshot)
        if not alone:
            return live
        return tuple([node for node in live if node.key not in one.serves or self._serving[node.key]])
