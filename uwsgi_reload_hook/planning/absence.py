"""Vassals that a router does not list are not known to be down: they have time to announce themselves. Pure.

A router that is started anew has an empty table, and an answer may lack nodes for other reasons. A vassal that accepts
announces itself within ten cycles of its master (core/master.c), or later where `subscribe-freq` says so. Until then
nobody is taken out of service because no router lists it. However long that lasts, a vassal that accepts never counts
as one that serves nothing: it is taken only while enough others accept, by the Emperor's word.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = ["is_awaited", "key_routers", "note_absence", "note_routers", "routed", "unsettled"]


def key_routers(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """For each key the routers that send requests for it to some vassal."""
    found: dict[str, set[str]] = {}
    for nodes in snapshot.live.values():
        for node in nodes:
            found.setdefault(node.key, set()).add(node.router)
    return {key: frozenset(routers) for key, routers in found.items()}


def note_absence(progress: Progress, vassal: Vassal, context: Context) -> Progress:
    """Note since when a pending vassal accepts without being listed under all of its keys.

    One without any key is noted too where its config may subscribe it: its keys are only not known yet.
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
    """The nodes of a vassal that requests may be sent to: the live ones, else those that a router lists all the same.

    One that was not announced for long may be live at a router whose `subscription-tolerance` is longer than it is
    known to be.
    """
    live = snapshot.live[vassal.id]
    if live or not vassal.accepting:
        return live
    return tuple([node for node in vassal.nodes if not node.death_mark])


def note_routers(roll: Roll, context: Context) -> Roll:
    """Note which routers are another process than at the look before: their tables were emptied."""
    seen = context.snapshot.routers
    if seen == roll.routers:
        return roll
    anew = {name: context.now for name, pid in seen.items() if roll.routers.get(name, pid) != pid}
    return replace(roll, routers=seen, forgot={**roll.forgot, **anew})


def unsettled(roll: Roll, context: Context) -> str:
    """The router that vassals have yet to announce themselves to, as it was restarted; empty = none.

    Those that the roll has out of service are announced by the roll.
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
