"""The state machine of one vassal in a roll: which phase may follow which, and the only function that changes a phase.

    pending -> draining -> touched -> restarting -> warming -> done, or failed, or withdrawn

There are two kinds of transitions.

*Seen*: the site did it. The Emperor noticed a touch, a master re-executed itself, a vassal accepts, died, or lost its
config. Each vassal is judged by itself, in observation.py and in the module that bears the name of the phase.

*Chosen*: the hook does it. A vassal is taken, touched, woken, recalled or evicted. schedule.py chooses for all vassals
together, because they share one budget (budget.py) and the CPUs (throttle.py).

No transition is undone by another rule of the same step. All go through `enter`, which looks into the table `NEXT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uwsgi_reload_hook.planning import limits
from uwsgi_reload_hook.planning.actions import Action, Subscribe
from uwsgi_reload_hook.planning.progress import Drain, Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import OldAnswer
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Node, Snapshot

__all__ = [
    "ANNOUNCE_WAIT",
    "NEXT",
    "RECOVERED",
    "Context",
    "Transition",
    "enter",
    "fail",
    "fail_and_return",
    "is_late",
    "is_unnoticed",
    "subscribe",
    "unless_late",
]

NEXT: Mapping[Phase, frozenset[Phase]] = {
    # Taken out of service, found to be a new process, or its config was removed; an act on it was refused.
    Phase.PENDING: frozenset({Phase.DRAINING, Phase.RESTARTING, Phase.WITHDRAWN, Phase.FAILED}),
    # Touched; given its traffic back; started instead of touched, where it was down.
    Phase.DRAINING: frozenset({Phase.TOUCHED, Phase.PENDING, Phase.RESTARTING, Phase.FAILED, Phase.WITHDRAWN}),
    Phase.TOUCHED: frozenset({Phase.RESTARTING, Phase.FAILED, Phase.WITHDRAWN}),
    # Another process: one with exit-on-reload ends, and is started again.
    Phase.RESTARTING: frozenset({Phase.WARMING, Phase.RESTARTING, Phase.FAILED, Phase.WITHDRAWN}),
    Phase.WARMING: frozenset({Phase.DONE, Phase.FAILED, Phase.WITHDRAWN}),
    # Whatever dies after it was done stops the roll, because the new code may do that to every vassal.
    Phase.DONE: frozenset({Phase.FAILED}),
    Phase.FAILED: frozenset(),
    Phase.WITHDRAWN: frozenset(),
}
"""Which phase may follow which."""

RECOVERED: Mapping[Phase, frozenset[Phase]] = {
    # A touch that the Emperor has not seen is made again; a new process is judged from its start.
    Phase.DRAINING: frozenset({Phase.PENDING, Phase.RESTARTING}),
    Phase.TOUCHED: frozenset({Phase.PENDING, Phase.RESTARTING}),
    Phase.RESTARTING: frozenset({Phase.RESTARTING}),
    Phase.WARMING: frozenset({Phase.RESTARTING}),
    Phase.DONE: frozenset({Phase.RESTARTING}),
}
"""Which phase may follow which when a roll is resumed whose hook ended, or whose Emperor was restarted."""

ANNOUNCE_WAIT = 12.0
"""Seconds in which a vassal announces itself, if it ever does: every 10 master cycles (core/master.c)."""

UNNOTICED_LOOKS = 5
"""Looks after which a touch, or an unsubscribe packet, counts as not noticed.

The second look should show it: the Emperor scans after it answers, and a router takes a packet before it answers.
"""
UNNOTICED_SECONDS = 2.0

Transition = tuple[Progress, tuple[Action, ...]]


@dataclass(frozen=True, slots=True)
class Context:
    """One look, and what is needed to judge it. `now` is in monotonic seconds."""

    snapshot: Snapshot
    settings: Settings
    now: float
    ignored_by: frozenset[str] = frozenset()
    """Routers that ignore the hook's packets, so that no drain there is waited for."""
    old_answers: Mapping[str, OldAnswer] = field(default_factory=dict)
    """What the new code is held against."""


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
    changed = progress._replace(phase=phase, since=now, reason=reason, **changes)  # type: ignore[arg-type]
    finished = now if phase.is_over else None
    if changed.times.finished == finished:
        return changed
    return changed._replace(times=changed.times._replace(finished=finished))


def fail(progress: Progress, now: float, failure: Failure, reason: str) -> Progress:
    """Fail a vassal, for a reason in words."""
    return enter(progress, Phase.FAILED, now, reason, failure=failure)


def fail_and_return(progress: Progress, now: float, failure: Failure, reason: str) -> Transition:
    """Fail a vassal that still runs its old code, and give it back the traffic that it was drained of."""
    failed = fail(progress, now, failure, reason)
    return failed._replace(drain=Drain()), subscribe(progress, progress.drain.unsubscribed)


def subscribe(progress: Progress, nodes: tuple[Node, ...]) -> tuple[Action, ...]:
    """Announce nodes, if there are any."""
    return (Subscribe(progress.id, nodes),) if nodes else ()


def is_unnoticed(looks: int, seconds: float) -> bool:
    """Whether a touch or a packet has shown no effect for so many looks and seconds that it never will."""
    return looks >= UNNOTICED_LOOKS and seconds >= UNNOTICED_SECONDS


def unless_late(progress: Progress, context: Context, complaint: str) -> Progress:
    """Leave a vassal as it is until its timeout, then fail it with `complaint` as the reason."""
    if not is_late(progress, context):
        return progress
    return fail(progress, context.now, Failure.TIMEOUT, f"{complaint} ({limits.words(progress, context.settings)})")


def is_late(progress: Progress, context: Context) -> bool:
    """Whether a vassal has taken longer than its reload may."""
    times = progress.times
    start = times.started if times.restarted is None else times.restarted
    return start is not None and context.now - start >= limits.of_vassal(progress, context.settings)
