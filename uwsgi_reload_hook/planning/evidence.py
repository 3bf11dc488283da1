"""What one look proves about one vassal, compared with what was noted before its reload."""

from __future__ import annotations

from uwsgi_reload_hook.planning.progress import Baseline, Drain, Image, Progress
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "has_exited",
    "has_new_workers",
    "has_reexecuted",
    "is_another",
    "is_drained",
    "places_lost",
    "runs_new_code",
    "runs_old_code",
    "see_log",
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
            return f"does not start: in the Emperor's blacklist after {entry.attempt + 1} attempts; {see_log(vassal)}"
        return "" if before.pid is None else f"its process ended; {see_log(vassal)}"
    if vassal.on_demand and vassal.first_run == before.first_run:
        return ""  # it may go to sleep, and be woken as another process, while the Emperor keeps its entry
    return _why_replaced(before, vassal)


def _why_replaced(before: Baseline, vassal: Vassal) -> str:
    if vassal.is_asleep:
        ended = f"its process ended, and the Emperor starts it again when something connects; {see_log(vassal)}"
        return "" if before.pid is None else ended
    if vassal.cursed:
        return f"its process ended, and the Emperor has cursed it; {see_log(vassal)}"
    if before.pid is not None and vassal.pid != before.pid:
        return f"died (pid {before.pid}) and was started again (pid {vassal.pid}); {see_log(vassal)}"
    if vassal.respawns < before.respawns:
        return f"died and was started again (the Emperor's count of its reloads fell); {see_log(vassal)}"
    return ""


def see_log(vassal: Vassal) -> str:
    """Where an operator finds out more."""
    return f"see its log {vassal.log}" if vassal.log else "see its log, which is the Emperor's where it has none"


def has_exited(progress: Progress, vassal: Vassal) -> bool:
    """Whether a vassal that was touched has ended in place of re-executing itself, because its options say so."""
    return progress.before.options.exits and not progress.image.is_new and is_another(progress.before, vassal)


def is_another(before: Baseline, vassal: Vassal) -> bool:
    """Whether a vassal that was done is another process now, or none. Quick, because every step asks it of each."""
    return vassal.pid != before.pid or vassal.cursed or not vassal.present


def runs_new_code(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal's processes began after the touch, whatever `accepting` says.

    A graceful reload re-executes the master, which shows in its environment. Where it does not, the workers are
    compared: uWSGI's old `lazy` option replaces only them, and another user's environment cannot be read.
    """
    details, before = vassal.details, progress.before
    if progress.image.is_new:
        return True
    if details is None:
        return False
    if details.children is None or before.children is None:
        return details.reloads is None or before.reloads is None
    return bool(details.children) and not details.children & before.children


def runs_old_code(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal is seen to run, after its touch, the image and no workers but those of before."""
    details, before = vassal.details, progress.before
    if details is None or details.reloads is None or details.children is None or before.children is None:
        return False
    return not progress.image.is_new and details.reloads == before.reloads and details.children <= before.children


def has_reexecuted(before: Baseline, vassal: Vassal) -> bool:
    """Whether the master's environment shows that it has re-executed itself since the touch."""
    details = vassal.details
    if details is None or details.reloads is None or before.reloads is None:
        return False
    return details.reloads > before.reloads


def has_new_workers(progress: Progress, vassal: Vassal) -> bool:
    """Whether the master has a child that is newer than the touch; true where its children cannot be read.

    A vassal that rests needs none, and one that never accepts may have none: its master is up once it has loaded.
    """
    details = vassal.details
    if progress.image is Image.NEW_PROCESS or details is None or details.children is None:
        return True
    if vassal.rests or (not progress.before.accepts and progress.image.is_new and details.loads is False):
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
    """Nodes that were unsubscribed and get requests again, because the vassal has announced itself since.

    Those at a router that ignores the hook's packets are left out, because another packet would not help.
    """
    live = snapshot.live[vassal.id]
    if not live:
        return ()
    gone = {node.identity for node in drain.unsubscribed if node.router not in ignored_by}
    return tuple([node for node in live if node.identity in gone])


def places_lost(progress: Progress, snapshot: Snapshot) -> list[str]:
    """Where a vassal was served requests and is not now: its keys, each at every router that had it there before.

    A router that is not read any more, because its vassal was removed, is not waited for.
    """
    live = {(node.key, node.router) for node in snapshot.live[progress.id]}
    before = {(node.key, node.router) for node in progress.drain.nodes if node.key in progress.keys}
    if snapshot.routers:
        before = {place for place in before if place[1] in snapshot.routers}
    lost = progress.keys - {key for key, _ in live}
    return sorted(lost) + [f"{key} at {router}" for key, router in sorted(before - live) if key not in lost]


def unrouted(drain: Drain, vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """The drained nodes that get no requests now. The others get no packet, because it would reset their load."""
    live = {node.identity for node in snapshot.live[vassal.id]}
    return tuple(node for node in drain.nodes if node.identity not in live and node.key not in vassal.withheld_keys)
