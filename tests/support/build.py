"""Nodes, vassals, looks and rolls for tests: one function for each thing that a test says.

Only this module knows in which fields a roll keeps what it has learnt of a vassal. So `touched`, `woken` and the like
take a vassal's progress and return it with one fact more; `owed`, `was_woken` and the like read one back.
`tests.support.rolling.a_site` builds a whole simulated site.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from uwsgi_reload_hook.planning.progress import Failure, Image, Phase, Progress, Times, Warmup
from uwsgi_reload_hook.planning.roll import Request, Roll, Stage
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
    "ended",
    "executed",
    "failed_probe",
    "in_phase",
    "known",
    "loaded",
    "owed",
    "started_anew",
    "taken",
    "touched",
    "touched_at",
    "unanswered",
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
    rolling = replace(roll, stage=Stage.ROLLING)
    return with_vassals(rolling, *(roll.vassals[f"{name}.ini"]._replace(phase=to) for name, to in phases.items()))


def a_progress(
    id_: str,
    phase: Phase = Phase.PENDING,
    *,
    started: float | None = None,
    finished: float | None = None,
    **given: object,
) -> Progress:
    """A vassal in a phase, when it was taken and when it ended, and what every phase has: since when, why, its keys."""
    plain = Progress(id_, phase, times=Times(started=started, finished=finished))
    return plain._replace(**given)  # type: ignore[arg-type]


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
    before = one.before._replace(pid=pid, last_mod=last_mod, reloads=reloads, children=children)
    drain = one.drain._replace(nodes=nodes, was_serving=pid is not None)
    return one._replace(before=before, drain=drain)


def unsubscribed(one: Progress, *nodes: Node, looks: int = 0) -> Progress:
    """With these nodes taken out of their routers, and seen there all the same at so many looks."""
    return one._replace(drain=one.drain._replace(unsubscribed=nodes), unnoticed_looks=looks)


def taken(one: Progress, at: float) -> Progress:
    """With the time at which it was taken out of service."""
    return one._replace(times=one.times._replace(started=at))


def ended(one: Progress, at: float) -> Progress:
    """With the time at which its part in the roll ended."""
    return one._replace(times=one.times._replace(finished=at))


def touched(one: Progress, at: float) -> Progress:
    return one._replace(times=one.times._replace(restarted=at))


def woken(one: Progress) -> Progress:
    """With its master woken by the hook."""
    return one._replace(image=Image.WOKEN)


def executed(one: Progress) -> Progress:
    """With its master seen to have executed itself anew."""
    return one._replace(image=Image.REEXECUTED)


def started_anew(one: Progress) -> Progress:
    """With a process that began after the roll did."""
    return one._replace(image=Image.NEW_PROCESS)


def loaded(one: Progress, seconds: float) -> Progress:
    """With the seconds from its touch until it accepted."""
    return one._replace(times=one.times._replace(load_seconds=seconds))


def failed_probe(id_: str, now: float) -> Progress:
    """One under `app` whose new code has given a bad answer at the look of `now`."""
    return Progress(id_, Phase.FAILED, since=now, reason="bad", failure=Failure.PROBE, keys=APP)


def unanswered(id_: str) -> Progress:
    """One under `app` that was drained, has been reloaded, and has not answered its first probe."""
    taken = unsubscribed(Progress(id_, Phase.WARMING, keys=APP), a_node())
    return taken._replace(warmup=Warmup(probed=1.0, awaits_answer=True))


# what a roll says of a vassal


def owed(one: Progress) -> tuple[Node, ...]:
    """The nodes that the hook has unsubscribed and not given back."""
    return one.drain.unsubscribed


def touched_at(one: Progress) -> float | None:
    """When it was touched, or started anew."""
    return one.times.restarted


def was_woken(one: Progress) -> bool:
    return one.image is Image.WOKEN


def was_started_anew(one: Progress) -> bool:
    return one.image is Image.NEW_PROCESS
