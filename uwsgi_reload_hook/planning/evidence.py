"""What can be told of one vassal from one look, against what was noted of it before. Pure."""

from __future__ import annotations

from uwsgi_reload_hook.planning.roll import Progress
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "death",
    "executed",
    "has_new_workers",
    "is_another",
    "is_drained",
    "live_again",
    "not_live",
    "renewed",
    "waits_for_its_master",
]


def death(progress: Progress, vassal: Vassal) -> str:
    """Why the vassal counts as dead since it was touched or started anew; empty = it does not."""
    entry = vassal.blacklisted
    if not vassal.present:
        known = progress.blacklisted
        if entry is not None and (known is None or entry.first_attempt != known.first_attempt):
            return f"does not start: in the Emperor's blacklist after {entry.attempt + 1} attempts; see its log"
        return "" if progress.pid is None else "its process ended; see its log"
    if vassal.cursed:
        return "its process ended, and the Emperor has cursed it; see its log"
    if progress.pid is not None and vassal.pid != progress.pid:
        return f"died (pid {progress.pid}) and was started again (pid {vassal.pid}); see its log"
    if vassal.respawns < progress.respawns:
        return "died and was started again (the Emperor's count of its reloads fell); see its log"
    return ""


def is_another(progress: Progress, vassal: Vassal) -> bool:
    """Whether a vassal that was done is another process now, or none: the quick look at each, at every step."""
    return vassal.pid != progress.pid or vassal.cursed or not vassal.present


def renewed(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal's processes are those of after the touch, whatever `accepting` says.

    A graceful reload re-executes the master, which shows in its environment. With uWSGI's old `lazy` option only the
    workers are replaced, and where the environment is another user's only they can be told apart.
    """
    if progress.new_process or progress.executed:
        return True
    details = vassal.details
    if details is None:
        return False
    if details.children is None or progress.children is None:
        return details.reloads is None or progress.reloads is None
    return bool(details.children) and not details.children & progress.children


def executed(progress: Progress, vassal: Vassal) -> bool:
    """Whether the master has executed itself anew since the touch."""
    details = vassal.details
    if details is None or details.reloads is None or progress.reloads is None:
        return progress.executed
    return progress.executed or details.reloads > progress.reloads


def has_new_workers(progress: Progress, vassal: Vassal) -> bool:
    """Whether it has a child that it had not before its touch, as far as that can be seen."""
    details = vassal.details
    if progress.new_process or details is None or details.children is None:
        return True
    return bool(details.children - (progress.children or frozenset()))


def waits_for_its_master(progress: Progress, vassal: Vassal) -> bool:
    """Whether the old workers have gone and the master has not executed itself anew yet."""
    details = vassal.details
    if progress.new_process or details is None or details.children is None or not progress.children:
        return False
    return details.reloads == progress.reloads and not details.children & progress.children


def is_drained(progress: Progress, vassal: Vassal) -> bool:
    """Whether no router that takes the hook's packets has a request in flight to the nodes that were unsubscribed."""
    gone = {node.identity for node in progress.drained if node.router not in progress.ignored_by}
    return not any(node.ref for node in vassal.nodes if node.identity in gone)


def live_again(progress: Progress, vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """Nodes that were unsubscribed and take requests all the same: a vassal goes on announcing itself.

    Those of a router that takes no packets of the hook are not among them, because nothing can be done about them.
    """
    live = snapshot.live[vassal.id]
    if not live:
        return ()
    gone = {node.identity for node in progress.drained if node.router not in progress.ignored_by}
    return tuple([node for node in live if node.identity in gone])


def not_live(progress: Progress, vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """Those of its nodes that get no requests now: to announce one that does would only reset its load."""
    live = {node.identity for node in snapshot.live[vassal.id]}
    return tuple(node for node in progress.nodes if node.identity not in live)
