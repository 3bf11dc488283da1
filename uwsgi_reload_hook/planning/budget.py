"""The budget: which vassals the minimum lets the roll take out of service now, counted once a step.

The invariant, after every step and for every subscription key, is `leaves_enough`. Taking, evicting, recalling and
refusing a roll all ask that one expression, each with the count of those that serve at that time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from uwsgi_reload_hook.planning import counts
from uwsgi_reload_hook.planning.canary import FirstWaves
from uwsgi_reload_hook.planning.candidates import LAST, Candidate
from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import Node

__all__ = ["Budget", "leaves_enough"]


def leaves_enough(serving: int, minimum: int) -> bool:
    """Whether a key keeps its minimum when one of its `serving` vassals is taken out of service."""
    return serving - 1 >= minimum


class Budget:
    """What the roll may still take out of service in this step.

    Within a step the budget only shrinks. So a candidate that was refused is refused for the rest of the step, and all
    vassals that are alike share that answer: a step of 1,000 vassals asks a handful of questions.
    """

    def __init__(self, roll: Roll, context: Context, candidates: Iterable[Candidate] = ()) -> None:
        """Count what serves. `candidates` are those of all pending vassals."""
        self._context = context
        self._roll = roll
        self._serving = counts.serving_by_key(context.snapshot, roll)
        self._waves = FirstWaves(roll, context.settings, context.now, candidates)
        out = roll.out
        self._out = len(out)
        self._unknown_out = sum(not one.keys and one.unseen_since is not None for one in out)
        self._unfinished = any(one.keys and not one.phase.is_over for one in roll.vassals.values())
        self._taken: Counter[Candidate] = Counter()
        self._refused: dict[Candidate, str] = {}

    @cached_property
    def _accepting(self) -> Counter[str]:
        """How many vassals of each key accept, as the Emperor reports; counted on demand, because few steps ask."""
        return counts.accepting_by_key(self._context.snapshot, self._roll)

    def short_keys(self, keys: Iterable[str], *, counted: bool = True) -> list[str]:
        """The keys that would fall below their minimum without a vassal that serves them.

        `counted` = the vassal is one of those that serve; one that the roll has out of service is not.
        """
        serving, minimum, others = self._serving, self._roll.minimum, not counted
        return sorted([key for key in keys if not leaves_enough(serving[key] + others, minimum.get(key, 0))])

    def _leaves_enough(self, key: str, serving: int) -> bool:
        return leaves_enough(serving, self._roll.minimum.get(key, 0))

    def spend(self, keys: Iterable[str]) -> None:
        """Count one vassal less under each of these keys."""
        for key in keys:
            self._serving[key] -= 1

    def to_recall(self, draining: Sequence[Progress]) -> list[Progress]:
        """The draining vassals that return to service, because another one died and a key is below its minimum.

        The one that was taken last is recalled first. One that did not serve when it was taken would not help. A
        vassal that was taken by the Emperor's count of accepting vassals is recalled by that count, all others by the
        routers' count.
        """
        listed: Counter[str] = Counter(self._serving)
        by_emperor = any(one.unseen_since is not None for one in draining)
        accepting: Counter[str] = Counter(self._accepting) if by_emperor else Counter()
        seen = self._context.snapshot.vassals
        recalled = []
        for progress in reversed(draining):
            if not (progress.drain.was_serving and seen[progress.id].accepting):
                continue
            serving = listed if progress.unseen_since is None else accepting
            keys = {node.key for node in progress.drain.nodes}
            if not all(self._leaves_enough(key, serving[key] + 1) for key in keys):
                recalled.append(progress)
                listed.update(keys)
                accepting.update(keys)
        return recalled

    def refusal(self, one: Candidate) -> str:
        """Why a vassal has to wait before it is taken, in words; empty = it can be taken now."""
        why = self._refused.get(one)
        if why is None:
            why = self._why_not(one)
            if why:
                self._refused[one] = why
        return why

    def _why_not(self, one: Candidate) -> str:
        return self._not_yet(one) or self._in_turn(one) or self._below_minimum(one) or self._waves.refusal(one)

    def _not_yet(self, one: Candidate) -> str:
        if one.settling:
            return "it is starting by itself"
        if one.lost:
            return "the Emperor runs it, and its config is not found"
        if one.unknown and (self._unknown_out or not one.overdue):
            return "its keys are not known: it has time to announce itself, and is then taken alone"
        return ""

    def _in_turn(self, one: Candidate) -> str:
        limit = self._context.settings.maximum_parallel
        if limit and self._out >= limit:
            return f"reload-hook-maximum-parallel lets {limit} be reloaded at a time"
        return "it has no router, so it follows those that have" if one.rank == LAST and self._unfinished else ""

    def _below_minimum(self, one: Candidate) -> str:
        short = self.short_keys(one.serves) or (self._short_unlisted(one) if one.unlisted else [])
        if not short:
            return ""
        minimum = self._roll.minimum
        return "; ".join(f"under key {key} {self._serving[key]} serve, and {minimum.get(key, 0)} must" for key in short)

    def _short_unlisted(self, one: Candidate) -> list[str]:
        """The keys that may fall below their minimum without a vassal that accepts, and that no router lists there.

        Enough others have to serve; once the vassal is overdue, it is enough that they accept.
        """
        short = self.short_keys(one.unlisted, counted=False)
        if not short or not one.overdue:
            return short
        return [key for key in short if not self._leaves_enough(key, self._accepting_now(key))]

    def _accepting_now(self, key: str) -> int:
        taken = sum(number for one, number in self._taken.items() if key in one.serves | one.unlisted)
        return self._accepting[key] - taken

    def take(self, one: Candidate, live: tuple[Node, ...]) -> tuple[Node, ...]:
        """Take a vassal out of service, and return those of its `live` nodes that are to be unsubscribed.

        A node whose key no other vassal serves stays in the router, so that requests queue in the vassal's socket
        instead of failing. So does one at a router that ignores the hook's packets.
        """
        self.spend(one.serves)
        self._taken[one] += 1
        self._waves.begin(one)
        self._out += 1
        self._unknown_out += one.unknown
        ignored_by = self._context.ignored_by
        if not ignored_by and all(self._serving[key] for key in one.serves):
            return live
        others = [node for node in live if node.key not in one.serves or self._serving[node.key]]
        return tuple([node for node in others if node.router not in ignored_by])
