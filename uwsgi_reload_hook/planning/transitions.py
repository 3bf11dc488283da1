"""The state machine of one vassal in a roll: which phase may follow which, and the one door through which it changes.

    pending -> draining -> touched -> restarting -> warming -> done, or failed, or withdrawn

Everything that changes a phase goes through `enter`, which looks into the table `NEXT`; nothing else in the package
sets one. A vassal that is pending is in service, and the four phases after it are out of service as far as the roll is
concerned. What else stands here is what every phase's rule is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from uwsgi_reload_hook.planning.roll import Action, Failure, Phase, Progress, Subscribe
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "ANNOUNCE_WAIT",
    "NEXT",
    "RECOVERED",
    "UNNOTICED_LOOKS",
    "UNNOTICED_SECONDS",
    "Context",
    "Transition",
    "enter",
    "run_anew",
    "subscribe",
    "unless_late",
]

NEXT: Mapping[Phase, frozenset[Phase]] = {
    # Taken out of service, found to have been started anew, or its config was removed; an act on it was refused.
    Phase.PENDING: frozenset({Phase.DRAINING, Phase.RESTARTING, Phase.WITHDRAWN, Phase.FAILED}),
    # Touched; given its traffic back; started instead of touched, where it was down.
    Phase.DRAINING: frozenset({Phase.TOUCHED, Phase.PENDING, Phase.RESTARTING, Phase.FAILED, Phase.WITHDRAWN}),
    Phase.TOUCHED: frozenset({Phase.RESTARTING, Phase.FAILED, Phase.WITHDRAWN}),
    Phase.RESTARTING: frozenset({Phase.WARMING, Phase.FAILED, Phase.WITHDRAWN}),
    Phase.WARMING: frozenset({Phase.DONE, Phase.FAILED, Phase.WITHDRAWN}),
    # Whatever dies after it was done stops the roll, because the new code may do that to every vassal.
    Phase.DONE: frozenset({Phase.FAILED}),
    Phase.FAILED: frozenset(),
    Phase.WITHDRAWN: frozenset(),
}
"""Which phase may follow which."""

RECOVERED: Mapping[Phase, frozenset[Phase]] = {
    # A touch that the Emperor has not seen is made again; any process that was started anew is judged from its start.
    Phase.DRAINING: frozenset({Phase.PENDING, Phase.RESTARTING}),
    Phase.TOUCHED: frozenset({Phase.PENDING, Phase.RESTARTING}),
    Phase.RESTARTING: frozenset({Phase.RESTARTING}),
    Phase.WARMING: frozenset({Phase.RESTARTING}),
    Phase.DONE: frozenset({Phase.RESTARTING}),
}
"""Which phase may follow which when a roll is taken up whose hook has gone, or whose Emperor was started anew."""

ANNOUNCE_WAIT = 12.0
"""Seconds in which a vassal announces itself, if it ever does: every 10 master cycles (core/master.c)."""

UNNOTICED_LOOKS = 5
"""Looks after which a touch, or an unsubscribe packet, counts as not noticed, though the second should show it.

A read of the Emperor's stats makes it scan when it has answered; a router takes a packet before it answers.
"""
UNNOTICED_SECONDS = 2.0

Transition = tuple[Progress, tuple[Action, ...]]


@dataclass(frozen=True, slots=True)
class Context:
    """One look, and what is needed to judge it. `now` is monotonic."""

    snapshot: Snapshot
    settings: Settings
    now: float
    ignored_by: frozenset[str] = frozenset()
    """Routers that take no packets of the hook: what they list is not waited for."""


def enter(
    progress: Progress,
    phase: Phase,
    now: float,
    reason: str,
    *,
    table: Mapping[Phase, frozenset[Phase]] = NEXT,
    **changes: object,
) -> Progress:
    """Move a vassal into a phase, `now` in monotonic seconds. Raises RuntimeError where `table` does not allow it."""
    if phase not in table[progress.phase]:
        raise RuntimeError(f"{progress.id}: {progress.phase.value} -> {phase.value} is no transition ({reason})")
    finished = now if phase.over else None
    return progress._replace(phase=phase, since=now, reason=reason, finished=finished, **changes)  # type: ignore[arg-type]


def subscribe(progress: Progress, nodes: tuple[Node, ...]) -> tuple[Action, ...]:
    """Announce nodes, if there are any."""
    return (Subscribe(progress.id, nodes),) if nodes else ()


def run_anew(
    progress: Progress,
    vassal: Vassal,
    moment: Context,
    reason: str,
    table: Mapping[Phase, frozenset[Phase]] = NEXT,
) -> Progress:
    """Judge a vassal by its new process, which began after the roll did.

    One that serves already stays in service while it is probed: the minimum may need it.
    """
    return enter(
        progress,
        Phase.RESTARTING,
        moment.now,
        reason,
        table=table,
        started=moment.now if progress.started is None else progress.started,
        acted=moment.now,
        pid=vassal.pid if vassal.present else None,
        respawns=0,
        new_process=True,
        blacklisted=vassal.blacklisted,
        announced=moment.now if moment.snapshot.served[vassal.id] else None,
    )


def unless_late(progress: Progress, moment: Context, complaint: str) -> Transition:
    """Leave a vassal as it is until its timeout, then fail it with a complaint."""
    start = progress.acted if progress.acted is not None else progress.started
    limit = moment.settings.timeout
    if start is not None and moment.now - start >= limit:
        why = f"{complaint} (timeout of {limit:g} s reached)"
        return enter(progress, Phase.FAILED, moment.now, why, failure=Failure.TIMEOUT), ()
    return progress, ()
