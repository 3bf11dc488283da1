"""Vassals that are in a router by the hook's packet alone. Pure.

A vassal that starts unsubscribed announces itself only once it is told to (`S` in its FIFO), and that order can be
lost. The hook's own packet hides that for as long as the router's `subscription-tolerance` lasts. So a roll is done
only when such vassals have announced themselves, or had the time to; whoever has not is kept announced.
"""

from __future__ import annotations

from collections.abc import Collection

from uwsgi_reload_hook.planning.actions import Subscribe
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = ["are_awaited", "keep", "unheard", "warning"]

AGAIN = 5.0
"""Seconds after which a node that only the hook announces is announced again; or a third of the tolerance, if less."""


def unheard(vassal: Vassal, snapshot: Snapshot) -> tuple[Node, ...]:
    """The nodes of a vassal that only the hook has announced; none if it is known to announce itself."""
    if vassal.announces_itself or not vassal.accepting or not vassal.present or vassal.cursed:
        return ()
    live = snapshot.live[vassal.id]
    return tuple([node for node in live if node.is_announced_by_hook and node.key not in vassal.foreign_keys])


def are_awaited(roll: Roll, context: Context) -> bool:
    """Whether a vassal that is done has still time to announce itself."""
    return any(
        unheard(vassal := context.snapshot.vassals[one.id], context.snapshot)
        and one.times.finished is not None
        and context.now - one.times.finished < vassal.announce_wait
        for one in roll.within(Phase.DONE)
    )


def warning(roll: Roll, snapshot: Snapshot) -> str:
    """What an operator has to know of vassals that have not announced themselves; empty = all have."""
    silent = [one.id for one in roll.within(Phase.DONE) if unheard(snapshot.vassals[one.id], snapshot)]
    if not silent:
        return ""
    return (
        f"{', '.join(silent)} did not announce themselves after the reload, and stay in the router only as long as a "
        "hook runs and announces them: with start-unsubscribed, let hook-accepting1-once write the S by spinningfifo, "
        "because writefifo may lose it"
    )


def keep(snapshot: Snapshot, out: Collection[str] = ()) -> tuple[Subscribe, ...]:
    """The packets that keep those vassals in the routers; `out` are the ids of those that a roll has out of service."""
    acts = []
    for vassal in snapshot.vassals.values():
        if vassal.id in out:
            continue
        if due := tuple([node for node in unheard(vassal, snapshot) if _is_due(node, snapshot)]):
            acts.append(Subscribe(vassal.id, due))
    return tuple(acts)


def _is_due(node: Node, snapshot: Snapshot) -> bool:
    now = snapshot.clocks.get(node.router)
    tolerance = snapshot.tolerances.get(node.router)
    limit = AGAIN if tolerance is None else min(AGAIN, tolerance / 3)
    return now is None or now - node.last_check >= limit
