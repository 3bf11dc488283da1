"""Nodes, vassals, looks and rolls for tests: one function for each thing that a test says.

Only this module knows in which fields a roll keeps what it has learnt of a vassal. So `touched`, `woken` and the like
take a vassal's progress and return it with one fact more; `owed`, `was_woken` and the like read one back.
`tests.support.rolling.a_site` builds a whole simulated site.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from uwsgi_reload_hook.planning.roll import Phase, Progress, Request, Roll
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal

__all__ = [
    "APP",
    "WALL",
    "a_node",
    "a_progress",
    "a_roll",
    "a_snapshot",
    "a_subscribed_vassal",
    "a_vassal",
    "executed",
    "in_phase",
    "known",
    "loaded",
    "owed",
    "started_anew",
    "touched",
    "touched_at",
    "unsubscribed",
    "was_started_anew",
    "was_woken",
    "with_vassals",
    "woken",
]

WALL = 1000.0
"""The wall clock of a look, in seconds since the epoch; each node was announced in this second."""
APP = frozenset({"app"})

# what is seen

a_node = partial(Node, router="router", key="app", address="/run/a.sock", last_check=int(WALL))

a_vassal = partial(Vassal, pid=7, accepting=True)
"""One that runs and accepts, in no router."""


def a_subscribed_vassal(id_: str, *keys: str, **given: object) -> Vassal:
    """One that serves under these keys; without any: under `app`."""
    nodes = tuple(a_node(key=key, address=f"/run/{id_}.sock") for key in keys or ("app",))
    return replace(a_vassal(id_, nodes=nodes), **given)  # type: ignore[arg-type]


def a_snapshot(*vassals: Vassal, **given: object) -> Snapshot:
    """One look at these vassals, and what else it shows."""
    return replace(Snapshot(WALL, {one.id: one for one in vassals}), **given)  # type: ignore[arg-type]


# what is decided


def a_roll(*vassals: Progress, **given: object) -> Roll:
    """A roll of these vassals that began at 0, with other fields as given."""
    plain = Roll("1", Request(1), started=0.0, started_wall=0.0, vassals={one.id: one for one in vassals})
    return replace(plain, **given)  # type: ignore[arg-type]


def with_vassals(roll: Roll, *vassals: Progress) -> Roll:
    """The roll with these in place of its vassals of the same ids."""
    return replace(roll, vassals={**roll.vassals, **{one.id: one for one in vassals}})


def in_phase(roll: Roll, **phases: Phase) -> Roll:
    """The roll with `v1.ini` in the phase given as `v1`, and so on, and nothing else of them changed."""
    return with_vassals(roll, *(roll.vassals[f"{name}.ini"]._replace(phase=to) for name, to in phases.items()))


a_progress = Progress
"""A vassal's id, its phase, and what every phase has: since when, why, its keys, when it was taken, when it ended."""


def known(  # noqa: PLR0913 - each argument is one fact
    one: Progress,
    pid: int | None = 7,
    *,
    nodes: tuple[Node, ...] = (),
    last_mod: int = 0,
    reloads: int | None = None,
    children: frozenset[tuple[int, int]] | None = None,
) -> Progress:
    """With what was seen of it before its touch: its process, its nodes, and what a reload changes."""
    return one._replace(pid=pid, nodes=nodes, last_mod=last_mod, reloads=reloads, children=children)


def unsubscribed(one: Progress, *nodes: Node, looks: int = 0) -> Progress:
    """With these nodes taken out of their routers, and seen there all the same at so many looks."""
    return one._replace(drained=nodes, looks=looks)


def touched(one: Progress, at: float) -> Progress:
    return one._replace(acted=at)


def woken(one: Progress) -> Progress:
    """With its master woken by the hook."""
    return one._replace(nudged=True)


def executed(one: Progress) -> Progress:
    """With its master seen to have executed itself anew."""
    return one._replace(executed=True)


def started_anew(one: Progress) -> Progress:
    """With a process that began after the roll did."""
    return one._replace(new_process=True)


def loaded(one: Progress, seconds: float) -> Progress:
    """With the seconds from its touch until it accepted."""
    return one._replace(loaded=seconds)


# what a roll says of a vassal


def owed(one: Progress) -> tuple[Node, ...]:
    """The nodes that the hook has unsubscribed and not given back."""
    return one.drained


def touched_at(one: Progress) -> float | None:
    """When it was touched, or started anew."""
    return one.acted


def was_woken(one: Progress) -> bool:
    return one.nudged


def was_started_anew(one: Progress) -> bool:
    return one.new_process
