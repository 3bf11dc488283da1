"""Who may be taken out of service at one look: the minimum, the canary and the window, counted once and kept up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from uwsgi_reload_hook.model import Node, Snapshot, Vassal
from uwsgi_reload_hook.roll import Phase, Progress, Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["Candidate", "Room", "is_down", "members", "minimum", "serving"]

EVERYTHING = ""
"""Stands beside the real keys in the canary rule: the first wave of the whole roll."""


def is_down(vassal: Vassal) -> bool:
    """Whether it does not run as it should, whatever the routers say."""
    return not vassal.present or vassal.cursed or vassal.blacklisted is not None


def serving(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key, the vassals that accept, are subscribed, and are not being reloaded by the roll."""
    count: Counter[str] = Counter()
    for vassal in snapshot.vassals.values():
        progress = roll.vassals.get(vassal.id)
        if progress is None or not progress.phase.in_flight:
            count.update(snapshot.served[vassal.id])
    return count


def members(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """For each key the number of its vassals: those that serve it, and those of the roll that are known to."""
    count: Counter[str] = Counter()
    for vassal in snapshot.vassals.values():
        progress = roll.vassals.get(vassal.id)
        if progress is None:
            count.update(vassal.keys if vassal.config_exists else ())
        elif progress.phase is not Phase.WITHDRAWN:
            count.update(progress.keys | vassal.keys)
    return count


def minimum(snapshot: Snapshot, roll: Roll, settings: Settings) -> dict[str, int]:
    """For each key, how many must serve."""
    return {key: settings.minimum_active_vassals.of(count) for key, count in members(snapshot, roll).items()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pending vassal. One that is down is the best canary; one without a router comes last."""

    id: str
    serves: frozenset[str]
    keys: frozenset[str]
    down: bool
    settling: bool
    """Down, and starting by itself at this moment: to touch it now would mix the two starts."""

    @property
    def last(self) -> bool:
        """Whether it has no router, and so comes after those that have."""
        return not self.keys and not self.down

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of which it may be a canary."""
        return (EVERYTHING, *self.keys)


class Room:
    """What is free. `allows` asks for one candidate, `take` takes it; both cost the same for any number of vassals."""

    def __init__(self, snapshot: Snapshot, roll: Roll, settings: Settings) -> None:
        """Count, once."""
        self._settings = settings
        self._serving = serving(snapshot, roll)
        self._minimum = roll.minimum
        self._flying = 0
        self._unfinished = 0
        self._begun: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        for progress in roll.vassals.values():
            self._count(progress)

    def _count(self, progress: Progress) -> None:
        flying = progress.phase.in_flight
        self._flying += flying
        self._unfinished += bool(progress.keys) and (flying or progress.phase is Phase.PENDING)
        if flying or progress.phase is Phase.DONE:
            groups = (EVERYTHING, *progress.keys)
            self._begun.update(groups)
            if not flying:
                self._done.update(groups)

    def allows(self, one: Candidate, *, better_canary: bool) -> bool:
        """Whether it can be taken now. `better_canary`: one that is down is about to settle, and goes first."""
        limit = self._settings.maximum_parallel
        return (
            not one.settling
            and (limit == 0 or self._flying < limit)
            and not (one.last and self._unfinished)
            and all(self._serving[key] - 1 >= self._minimum.get(key, 0) for key in one.serves)
            and self._canary_allows(one, better_canary and not one.down)
        )

    def _canary_allows(self, one: Candidate, better_canary: bool) -> bool:
        """Whether the first wave is over, or has a place left; for the whole roll, and for each key by itself."""
        size = self._settings.canary
        if better_canary and self._done[EVERYTHING] < size:
            return False
        return all(self._done[group] >= size or self._begun[group] < size for group in one.groups)

    def take(self, one: Candidate, vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
        """Take it, and return those of its live nodes whose key another vassal serves too.

        The others stay in the router, so that requests queue in the vassal's socket instead of failing.
        """
        self._serving.subtract(one.serves)
        self._begun.update(one.groups)
        self._flying += 1
        return tuple(
            node
            for node in vassal.nodes
            if snapshot.live(node) and (node.key not in one.serves or self._serving[node.key])
        )
