"""Vassals that accept and that no router lists: the roll gives them time to announce themselves. Pure.

A missing node does not show that its vassal is down, because a restarted router begins with an empty table. A vassal
that accepts announces itself every ten cycles of its master (core/master.c), or as often as `subscribe-freq` says.
Until then it is not taken. Afterwards it still counts as one that may serve: it is taken only while the Emperor reports
that enough others accept.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = ["is_awaited", "key_routers", "note_absence", "note_routers", "routed", "unsettled"]


def key_routers(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """For each key the routers that list a live node under it."""
    by_key: dict[str, set[str]] = {}
    for nodes in snapshot.live.values():
        for node in nodes:
            by_key.setdefault(node.key, set()).add(node.router)
    return {key: frozenset(routers) for key, routers in by_key.items()}


def note_absence(progress: Progress, vassal: Vassal, context: Context) -> Progress:
    """Note since when a pending vassal accepts without being listed under all of its keys.

    A vassal without keys is noted too if its config may subscribe it, because its keys are then only not known yet.
    """
    served = context.snapshot.served[vassal.id]
    listed = served >= progress.keys if progress.keys else not vassal.may_subscribe
    if listed or not vassal.accepting:
        return progress if progress.unseen_since is None else progress._replace(unseen_since=None)
    return progress if progress.unseen_since is not None else progress._replace(unseen_since=context.now)


def is_awaited(progress: Progress, vassal: Vassal, context: Context) -> bool:
    """Whether a vassal that no router lists under all of its keys still has time to announce itself."""
    since = progress.unseen_since
    return vassal.accepting and since is not None and context.now - since < ANNOUNCE_WAIT


def routed(vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """The nodes of a vassal that may get requests: the live ones; where there are none, those without a death mark.

    A node whose last announcement is old may get requests, because its router may tolerate a longer silence
    (`subscription-tolerance`) than the hook knows of.
    """
    live = snapshot.live[vassal.id]
    if live or not vassal.accepting:
        return live
    return tuple([node for node in vassal.nodes if not node.death_mark])


def note_routers(roll: Roll, context: Context) -> Roll:
    """Note which routers were restarted since the look before, because their tables began empty."""
    seen = context.snapshot.routers
    if seen == roll.routers:
        return roll
    restarted = {name: context.now for name, pid in seen.items() if roll.routers.get(name, pid) != pid}
    ignored_by = roll.ignored_by - restarted.keys()  # another process may take packets
    return replace(roll, routers=seen, forgot={**roll.forgot, **restarted}, ignored_by=ignored_by)


def unsettled(roll: Roll, context: Context) -> str:
    """The restarted router to which vassals have yet to announce themselves; empty = none.

    Vassals out of service are not waited for, because the roll itself subscribes them again.
    """
    for router, since in roll.forgot.items():
        if context.now - since < ANNOUNCE_WAIT and _lacks_vassals(router, roll, context.snapshot):
            return router
    return ""


def _lacks_vassals(router: str, roll: Roll, snapshot: Snapshot) -> bool:
    keys = {key for key, routers in roll.key_routers.items() if router in routers}
    for progress in roll.vassals.values():
        known = progress.keys & keys
        if known and not progress.phase.is_out and snapshot.vassals[progress.id].accepting:
            listed = {node.key for node in snapshot.live[progress.id] if node.router == router}
            if not known <= listed:
                return True
    return False
