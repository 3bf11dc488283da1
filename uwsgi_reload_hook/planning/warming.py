"""The phase `warming`: from the first accepted request of the new code, by the probe, back into the routers."""

from __future__ import annotations

from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.actions import Action, SendProbe, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.progress import Failure, Image, Phase, Progress
from uwsgi_reload_hook.planning.transitions import (
    ANNOUNCE_WAIT,
    Context,
    Transition,
    enter,
    fail,
    subscribe,
    unless_late,
)
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Node, Vassal

__all__ = ["begin", "eviction", "observe", "probe"]

ANNOUNCE_AGAIN = 1.0
"""Seconds after which a subscribe packet that had no effect is sent again."""
PROBE_AGAIN = 1.0
"""Seconds between two probes of a vassal that has to stay healthy for a time."""
STAY = 2.0
"""Seconds that a vassal without a router must live: one whose code does not load shows it within about one."""


def begin(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Let a vassal that accepts in again: announce it, or probe it first."""
    times = progress.times
    loading = context.now - (context.now if times.restarted is None else times.restarted)
    warming = enter(
        progress,
        Phase.WARMING,
        context.now,
        "accepts requests",
        times=times._replace(load_seconds=loading),
        warmup=progress.warmup._replace(healthy_since=None),
    )
    if context.settings.probe is not None and progress.before.accepts:
        return probe(warming, context)
    if vassal.rests:  # it announces itself as it begins to rest, and to ask its socket would wake it
        return warming._replace(warmup=warming.warmup._replace(admitted=context.now)), ()
    return _announce(warming, vassal, context)


def observe(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge a warming vassal: its answer to the probe, its nodes at the routers, and its health."""
    if why := evidence.why_dead(progress.before, vassal):
        return fail(progress, context.now, Failure.DIED, why), ()
    if progress.warmup.awaits_answer:
        return _judge_answer(progress, vassal, context)
    missing = progress.keys - {node.key for node in context.snapshot.live[vassal.id]}
    if missing or (progress.before.accepts and not vassal.accepting):
        lost = ", ".join(sorted(missing))
        complaint = f"is not subscribed again under {lost}" if missing else "stopped accepting"
        unhealthy = progress._replace(warmup=progress.warmup._replace(healthy_since=None))
        late = unless_late(unhealthy, context, complaint)
        admitted = progress.warmup.admitted
        just_announced = admitted is not None and context.now - admitted < ANNOUNCE_AGAIN
        return (late, ()) if just_announced or late.phase is Phase.FAILED else _announce(late, vassal, context)
    return _prove_health(progress, context)


def eviction(progress: Progress, vassal: Vassal, context: Context) -> tuple[Action, ...]:
    """The acts that keep a vassal's new code from getting requests; none where nothing speaks against that code yet.

    A vassal announces itself to the routers as soon as it accepts. Until its first probe is answered it is unsubscribed
    again; after a bad answer it is suspended too, because only that ends its announcements.
    """
    traffic = tuple(node for node in context.snapshot.live[vassal.id] if node.router not in context.ignored_by)
    out = (Unsubscribe(progress.id, traffic),) if traffic else ()
    warmup = progress.warmup
    if progress.failure is Failure.PROBE and progress.since == context.now:
        # One without a key is in no router: a pause would only make its direct clients hang.
        return (*out, Suspend(progress.id, vassal.pid)) if progress.keys else ()
    unanswered = warmup.awaits_answer and warmup.admitted is None
    concerned = progress.phase is Phase.WARMING or (progress.phase is Phase.FAILED and progress.since == context.now)
    was_kept_out = progress.drain.unsubscribed or progress.image is Image.NEW_PROCESS
    return out if unanswered and concerned and was_kept_out else ()


def probe(progress: Progress, context: Context) -> Transition:
    """Ask the vassal over its own socket."""
    asked = progress.warmup._replace(probed=context.now, awaits_answer=True)
    return progress._replace(warmup=asked), (SendProbe(progress.id, progress.drain.nodes),)


def _announce(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    nodes: tuple[Node, ...] = evidence.unrouted(progress.drain, vassal, context.snapshot)
    admitted = progress.warmup._replace(admitted=context.now)
    return progress._replace(warmup=admitted), subscribe(progress, nodes)


def _judge_answer(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge the answer to a probe. A bad one is final.

    A vassal announces itself every ten seconds, so broken code would get requests while it was asked again.
    """
    answer = vassal.probe
    if answer is None:
        return unless_late(progress, context, "has not answered the probe"), ()
    if not answer.good:
        return fail(progress, context.now, Failure.PROBE, f"the probe failed: {answer.words}"), ()
    good = progress._replace(warmup=progress.warmup._replace(awaits_answer=False))
    return _announce(good, vassal, context) if good.warmup.admitted is None else (good, ())


def _prove_health(progress: Progress, context: Context) -> Transition:
    """Let a healthy vassal stay healthy for as long as it has to, and ask it again meanwhile."""
    now, warmup = context.now, progress.warmup
    since = now if warmup.healthy_since is None else warmup.healthy_since
    if now - since >= _proof_seconds(progress, context.settings):
        return enter(progress, Phase.DONE, now, "serves again" if progress.keys else "restarted"), ()
    healthy = progress._replace(warmup=warmup._replace(healthy_since=since))
    if warmup.probed is not None and now - warmup.probed >= PROBE_AGAIN:
        return probe(healthy, context)
    return healthy, ()


def _proof_seconds(progress: Progress, settings: Settings) -> float:
    """Seconds that the vassal has to stay healthy: more where no router vouches for it."""
    if progress.keys:
        return settings.minimum_healthy_time
    return max(settings.minimum_healthy_time, ANNOUNCE_WAIT if progress.image is Image.NEW_PROCESS else STAY)
