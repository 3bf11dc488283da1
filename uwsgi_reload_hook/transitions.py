"""What every phase's rule is made of: one look, and the ways to move a vassal by it."""

from __future__ import annotations

from dataclasses import dataclass

from uwsgi_reload_hook.model import Node, Snapshot, Vassal
from uwsgi_reload_hook.roll import Action, Phase, Progress, Subscribe
from uwsgi_reload_hook.settings import Settings

__all__ = [
    "ANNOUNCE_WAIT",
    "UNNOTICED_LOOKS",
    "UNNOTICED_SECONDS",
    "Moment",
    "Moved",
    "enter",
    "run_anew",
    "subscribe",
    "unless_late",
]

ANNOUNCE_WAIT = 12.0
"""Seconds in which a vassal announces itself, if it ever does: every 10 master cycles (core/master.c)."""

UNNOTICED_LOOKS = 5
"""Looks after which a touch, or an unsubscribe packet, counts as not noticed, though the second should show it.

A read of the Emperor's stats makes it scan when it has answered; a router takes a packet before it answers.
"""
UNNOTICED_SECONDS = 2.0

Moved = tuple[Progress, tuple[Action, ...]]


@dataclass(frozen=True, slots=True)
class Moment:
    """One look, and what is needed to judge it. `now` is monotonic."""

    snapshot: Snapshot
    settings: Settings
    now: float
    ignored_by: frozenset[str] = frozenset()
    """Routers that take no packets of the hook: what they list is not waited for."""


def enter(progress: Progress, phase: Phase, moment: Moment, reason: str, **changes: object) -> Progress:
    """Move a vassal into a phase."""
    finished = moment.now if phase.over else None
    return progress._replace(phase=phase, since=moment.now, reason=reason, finished=finished, **changes)  # type: ignore[arg-type]


def subscribe(progress: Progress, nodes: tuple[Node, ...]) -> tuple[Action, ...]:
    """Announce nodes, if there are any."""
    return (Subscribe(progress.id, nodes),) if nodes else ()


def run_anew(progress: Progress, vassal: Vassal, moment: Moment, reason: str) -> Progress:
    """Judge a vassal by its new process, which began after the roll did.

    One that serves already stays in service while it is probed: the minimum may need it.
    """
    return enter(
        progress,
        Phase.RESTARTING,
        moment,
        reason,
        started=moment.now if progress.started is None else progress.started,
        acted=moment.now,
        pid=vassal.pid if vassal.present else None,
        respawns=0,
        new_process=True,
        blacklisted=vassal.blacklisted,
        announced=moment.now if moment.snapshot.served[vassal.id] else None,
    )


def unless_late(progress: Progress, moment: Moment, complaint: str) -> Moved:
    """Leave a vassal as it is until its timeout, then fail it with a complaint."""
    start = progress.acted if progress.acted is not None else progress.started
    limit = moment.settings.timeout
    if start is not None and moment.now - start >= limit:
        return enter(progress, Phase.FAILED, moment, f"{complaint} (timeout of {limit:g} s reached)"), ()
    return progress, ()
