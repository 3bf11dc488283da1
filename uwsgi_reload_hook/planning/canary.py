"""The first wave of a roll, the canary: it has to live for `canary-time` once it serves, before the rest starts.

New code may die a second after it accepts. That is within this time, so that it costs the first wave only.
Each subscription key has a first wave too, because other keys may be of another application.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from uwsgi_reload_hook.planning.candidates import EVERYTHING, Candidate
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.settings import Settings

__all__ = ["FirstWaves", "next_proof", "note", "seconds_left", "watched_until"]

SLACK = 1e-6
"""Seconds by which two sums of floats may differ."""


class FirstWaves:
    """The first waves of the whole roll and of each key: how many began, are done, and have proven the code."""

    def __init__(self, roll: Roll, settings: Settings, now: float, candidates: Iterable[Candidate]) -> None:
        """`candidates` are those of all pending vassals, because one that is starting may become the better canary."""
        self._size = settings.canary
        self._better_canary = any(candidate.settling for candidate in candidates)
        self._begun: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._proven: Counter[str] = Counter()
        oldest, done = now - settings.canary_time + SLACK, Phase.DONE
        alike = Counter(
            [
                (one.phase, one.keys, one.times.finished is None or one.times.finished <= oldest)
                for one in roll.vassals.values()
                if one.phase is done or one.phase.is_out
            ]
        )
        for (phase, keys, proven), number in alike.items():
            for group in (EVERYTHING, *keys):
                self._begun[group] += number
                self._done[group] += number if phase is done else 0
                self._proven[group] += number if phase is done and proven else 0

    def refusal(self, one: Candidate) -> str:
        """Why a vassal has to wait for a first wave, in words; empty = it need not."""
        if not self._size:
            return ""
        if self._better_canary and not one.down and self._done[EVERYTHING] < self._size:
            return "a vassal that is down goes first"
        for group in one.groups:
            if self._proven[group] < self._size <= self._begun[group]:
                return f"the first vassals of {f'key {group}' if group else 'the roll'} have to prove the new code"
        return ""

    def begin(self, one: Candidate) -> None:
        """Count a vassal that is taken."""
        self._begun.update(one.groups)


def note(roll: Roll, settings: Settings, now: float) -> Roll:
    """Note when the last vassal of the first wave was done. A roll of fewer vassals is one wave."""
    if roll.canary_done is not None or not settings.canary:
        return roll
    done = len(roll.within(Phase.DONE))
    size = min(settings.canary, len(roll.vassals) - len(roll.within(Phase.WITHDRAWN)))
    return replace(roll, canary_done=now) if 0 < size <= done else roll


def seconds_left(roll: Roll, settings: Settings, now: float) -> float:
    """Seconds that the first wave still has to live; 0 before it is done."""
    left = 0.0 if roll.canary_done is None else roll.canary_done + settings.canary_time - now
    return left if left > SLACK else 0.0


def watched_until(roll: Roll, settings: Settings) -> float:
    """When the first wave will have lived for `canary-time`; the roll's beginning while that is not known."""
    if roll.canary_done is None or not settings.canary_time:
        return roll.started
    return roll.canary_done + settings.canary_time


def next_proof(roll: Roll, settings: Settings, now: float) -> float | None:
    """Seconds until the next of the vassals that are done has lived for `canary-time`; None = there is none."""
    if not settings.canary or not settings.canary_time:
        return None
    oldest, done = now - settings.canary_time + SLACK, Phase.DONE
    watched = [
        one.times.finished
        for one in roll.vassals.values()
        if one.phase is done and one.times.finished is not None and one.times.finished > oldest
    ]
    return min(watched) + settings.canary_time - now if watched else None
