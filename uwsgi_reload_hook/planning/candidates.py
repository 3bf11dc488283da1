"""The pending vassals of a roll in the order in which they are taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from uwsgi_reload_hook.planning import absence, counts, limits
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context

__all__ = ["EVERYTHING", "LAST", "Candidate", "in_order"]

LAST = 2
"""The rank of a vassal without a router."""
EVERYTHING = ""
"""The group of all vassals, counted beside those of the keys: its first wave is that of the whole roll."""
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Candidate:
    """The facts that decide whether a pending vassal may be taken. Vassals with the same facts share one object."""

    serves: frozenset[str]
    keys: frozenset[str]
    down: bool = False
    """It serves no requests, so it is the best canary."""
    settling: bool = False
    """It is starting by itself, and is not touched yet, because a reload in the middle would lose its announcement."""
    unlisted: frozenset[str] = _NONE
    """Keys under which no router lists it although it accepts: it may serve them nevertheless."""
    overdue: bool = False
    """Its time to announce itself is over, so it can be taken if the Emperor reports that enough others accept."""
    unknown: bool = False
    """It accepts, and its config may subscribe it, but its keys are not known: once overdue, it is taken alone."""
    lost: bool = False
    """The Emperor runs it, and its config was not found."""

    @cached_property
    def rank(self) -> int:
        """The lower rank is taken first: vassals that serve nothing, then those with keys, then those without."""
        if self.down or (self.unlisted and not self.serves):
            return 0
        return 1 if self.keys else LAST

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of which it may be in the first wave: the whole roll, and each of its keys."""
        return (EVERYTHING, *self.keys)


def in_order(roll: Roll, context: Context) -> list[tuple[str, Candidate]]:
    """The pending vassals in the order in which they are taken, each with the candidate that it shares."""
    seen, served = context.snapshot.vassals, context.snapshot.served
    in_grace = context.now - roll.started < limits.of_roll(roll, context.settings)
    alike: dict[tuple[frozenset[str], frozenset[str], bool, bool, frozenset[str], bool, bool, bool], Candidate] = {}
    ranks: list[list[tuple[str, Candidate]]] = [[] for _ in range(LAST + 1)]
    for progress in roll.within(Phase.PENDING):
        id_, keys = progress.id, progress.keys
        vassal, serves = seen[id_], served[id_]
        unseen = progress.unseen_since is not None and vassal.accepting
        unlisted = keys - serves if unseen else _NONE
        down = counts.is_down(vassal) or bool(keys and not serves and not unlisted)
        starting = vassal.present and not vassal.accepting
        settling = starting and in_grace and (down or (not keys and counts.is_starting(vassal)))
        overdue = unseen and not absence.is_awaited(progress, vassal, context)
        traits = (serves, keys, down, settling, unlisted, overdue, unseen and not keys, vassal.is_lost)
        candidate = alike.get(traits)
        if candidate is None:
            candidate = alike[traits] = Candidate(*traits)
        ranks[candidate.rank].append((id_, candidate))
    return [*chain.from_iterable(ranks)]
