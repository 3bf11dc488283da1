"""What one look proves about one vassal, held against what was noted before its reload."""

from __future__ import annotations

from uwsgi_reload_hook.planning.progress import Baseline, Drain, Image, Progress
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "has_new_workers",
    "has_reexecuted",
    "is_another",
    "is_drained",
    "runs_new_code",
    "still_routed",
    "unrouted",
    "why_dead",
    "workers_gone",
]


def why_dead(before: Baseline, vassal: Vassal) -> str:
    """Why the vassal counts as dead since it was touched or started; empty = it does not."""
    entry = vassal.blacklisted
    if not vassal.present:
        known = before.blacklisted
        if entry is not None and (known is None or entry.first_attempt != known.first_attempt):
            return f"does not start: in the Emperor's blacklist after {entry.attempt + 1} attempts; see its log"
        return "" if before.pid is None else "its process ended; see its log"
    if vassal.on_demand and vassal.first_run == before.first_run:
        return ""  # it may go to sleep, and be woken as another process, while the Emperor keeps its entry
    return _why_replaced(before, vassal)


def _why_replaced(before: Baseline, vassal: Vassal) -> str:
    if vassal.is_asleep:
        ended = "its process ended, and the Emperor starts it again when something connects; see its log"
        return "" if before.pid is None else ended
    if vassal.cursed:
        return "its process ended, and the Emperor has cursed it; see its log"
    if before.pid is not None and vassal.pid != before.pid:
        return f"died (pid {before.pid}) and was started again (pid {vassal.pid}); see its log"
    if vassal.respawns < before.respawns:
        return "died and was started again (the Emperor's count of its reloads fell); see its log"
    return ""


def is_another(before: Baseline, vassal: Vassal) -> bool:
    """Whether a vassal that was done is another process now, or none: the quick check of each, at every step."""
    return vassal.pid != before.pid or vassal.cursed or not vassal.present


def runs_new_code(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal's processes are those of after the touch, whatever `accepting` says.

    A graceful reload re-executes the master, which shows in its environment. uWSGI's old `lazy` option replaces only
    the workers, and where the environment belongs to another user only the workers can be told apart.
    """
    details, before = vassal.details, progress.before
    if progress.image.is_new:
        return True
    if details is None:
        return False
    if details.children is None or before.children is None:
        return details.reloads is None or before.reloads is None
    return bool(details.children) and not details.children & before.children


def has_reexecuted(before: Baseline, vassal: Vassal) -> bool:
    """Whether the master is seen to have re-executed itself since the touch."""
    details = vassal.details
    if details is None or details.reloads is None or before.reloads is None:
        return False
    return details.reloads > before.reloads


def has_new_workers(progress: Progress, vassal: Vassal) -> bool:
    """Whether it has a child that it had not before its touch, as far as that can be seen."""
    details = vassal.details
    if progress.image is Image.NEW_PROCESS or details is None or details.children is None:
        return True
    return bool(details.children - (progress.before.children or frozenset()))


def workers_gone(progress: Progress, vassal: Vassal) -> bool:
    """Whether the old workers have gone and the master has not re-executed itself yet."""
    details, before = vassal.details, progress.before
    if progress.image is Image.NEW_PROCESS or details is None or details.children is None or not before.children:
        return False
    return details.reloads == before.reloads and not details.children & before.children


def is_drained(drain: Drain, vassal: Vassal, ignored_by: frozenset[str]) -> bool:
    """Whether no router that takes the hook's packets has a request in flight to the nodes that were unsubscribed."""
    gone = {node.identity for node in drain.unsubscribed if node.router not in ignored_by}
    return not any(node.ref for node in vassal.nodes if node.identity in gone)


def still_routed(drain: Drain, vassal: Vassal, snapshot: Snapshot, ignored_by: frozenset[str]) -> tuple[Node, ...]:
    """Nodes that were unsubscribed and get requests all the same, because a vassal goes on announcing itself.

    Those at a router that takes no packets of the hook are left out, because nothing can be done about them.
    """
    live = snapshot.live[vassal.id]
    if not live:
        return ()
    gone = {node.identity for node in drain.unsubscribed if node.router not in ignored_by}
    return tuple([node for node in live if node.identity in gone])


def unrouted(drain: Drain, vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """Those of its nodes that get no requests now: to announce one that does would only reset its load."""
    live = {node.identity for node in snapshot.live[vassal.id]}
    return tuple(node for node in drain.nodes if node.identity not in live)
