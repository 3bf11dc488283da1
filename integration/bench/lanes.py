"""What a picture shows of one roll: for each vassal its phases over time, and how many served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.bench.load import Load
from integration.bench.sampler import Sampler, Sight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from integration.bench.sites import Rolled, Site

Spell = tuple[float, float, str]
"""From, to (seconds since the touch or the start of the script), and the phase."""


@dataclass
class Lanes:
    """Times are seconds since the touch of the trigger, or the start of the script."""

    way: str
    seconds: float
    vassals: dict[str, list[Spell]]
    serving: list[tuple[float, int]]


def watch(site: Site, way: str) -> Lanes:
    """Roll once, watched, under the same requests as a measured roll."""
    with Load(site.http_port), Sampler(site.directory) as sampler:
        rolled = site.roll_once()
    phases = rolled.phases or _phases(sampler.sights, rolled)
    return Lanes(
        way=way,
        seconds=rolled.seconds,
        vassals={vassal: _spells(seen, rolled) for vassal, seen in sorted(phases.items(), key=_by_number)},
        serving=[(when - rolled.started, count) for when, count in sampler.serving],
    )


def _by_number(item: tuple[str, object]) -> tuple[int, str]:
    return len(item[0]), item[0]


def _phases(sights: Iterable[Sight], rolled: Rolled) -> dict[str, list[tuple[float, str]]]:
    """The phases of a roller that tells none, in the hook's words, from what the stats showed."""
    first: dict[str, int] = {}
    found: dict[str, list[tuple[float, str]]] = {}
    for sight in sights:
        seen = found.setdefault(sight.vassal, [(rolled.started, "pending")])
        touched = sight.last_mod > first.setdefault(sight.vassal, sight.last_mod)
        if sight.when <= rolled.finished:
            phase = _phase(sight, touched=touched)
            if seen[-1][1] != phase:
                seen.append((sight.when, phase))
    return found


def _phase(sight: Sight, *, touched: bool) -> str:
    if not touched:
        return "pending"
    if not sight.accepting:
        return "restarting"
    return "done" if sight.subscribed else "warming"


def _spells(seen: list[tuple[float, str]], rolled: Rolled) -> list[Spell]:
    begins = [max(when - rolled.started, 0.0) for when, _ in seen]
    ends = [*begins[1:], rolled.seconds]
    return [(begin, end, phase) for begin, end, (_, phase) in zip(begins, ends, seen, strict=True)]
