"""The phase `warming`: the new code accepts, is probed if the settings ask for it, and returns to the routers."""

from __future__ import annotations

from uwsgi_reload_hook.planning import evidence, old_answers
from uwsgi_reload_hook.planning.actions import Action, EndRequest, Suspend, Unsubscribe
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
"""Seconds that a vassal without a router must live, because one whose code does not load dies within about one."""


def begin(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Return a vassal that accepts to its routers, or probe it first."""
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
    if progress.before.accepts and old_answers.is_probed(warming, context):
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
    missing = evidence.places_lost(progress, context.snapshot)
    if missing or (progress.before.accepts and not vassal.accepting):
        lost = ", ".join(missing)
        complaint = f"is not subscribed again under {lost}" if missing else "stopped accepting"
        unhealthy = progress._replace(warmup=progress.warmup._replace(healthy_since=None))
        late = unless_late(unhealthy, context, complaint)
        admitted = progress.warmup.admitted
        just_announced = admitted is not None and context.now - admitted < ANNOUNCE_AGAIN
        return (late, ()) if just_announced or late.phase is Phase.FAILED else _announce(late, vassal, context)
    return _prove_health(progress, context)


def eviction(progress: Progress, vassal: Vassal, context: Context) -> tuple[Action, ...]:
    """The acts that keep requests away from a vassal's new code, none where that code may serve.

    A vassal announces itself to the routers as soon as it accepts. Until its first probe is answered it is unsubscribed
    again; after a bad answer it is suspended too, because only that ends its announcements.
    """
    traffic = tuple(node for node in context.snapshot.live[vassal.id] if node.router not in context.ignored_by)
    out = (Unsubscribe(progress.id, traffic),) if traffic else ()
    warmup = progress.warmup
    if progress.failure is Failure.PROBE and progress.since == context.now:
        # A vassal without a key is in no router: to suspend it would only make its direct clients hang.
        return (*out, Suspend(progress.id, vassal.pid)) if progress.keys else ()
    unanswered = warmup.awaits_answer and warmup.admitted is None
    concerned = progress.phase is Phase.WARMING or (progress.phase is Phase.FAILED and progress.since == context.now)
    was_kept_out = progress.drain.unsubscribed or progress.image is Image.NEW_PROCESS
    return out if unanswered and concerned and was_kept_out else ()


def probe(progress: Progress, context: Context) -> Transition:
    """Send the probe to the vassal's own socket."""
    asked = progress.warmup._replace(probed=context.now, awaits_answer=True)
    return progress._replace(warmup=asked), (old_answers.question(progress, context.snapshot),)


def _announce(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    nodes: tuple[Node, ...] = evidence.unrouted(progress.drain, vassal, context.snapshot)
    admitted = progress.warmup._replace(admitted=context.now)
    return progress._replace(warmup=admitted), subscribe(progress, nodes)


def _judge_answer(progress: Progress, vassal: Vassal, context: Context) -> Transition:
    """Judge the answer to a probe. A bad one is final.

    A vassal announces itself every ten seconds, so broken code would get requests while it was probed again.
    """
    answer = vassal.probe
    if answer is None:
        asked = old_answers.in_words(progress, context)
        late = unless_late(progress, context, f"has not answered the probe, {asked}; {evidence.see_log(vassal)}")
        if late.phase is not Phase.FAILED:
            return late, ()
        # As after a bad answer it must not get requests; and its next reload would wait for the worker that hangs.
        return late._replace(failure=Failure.PROBE), (EndRequest(progress.id, vassal.pid),)
    if not answer.good:
        before = old_answers.comparison(progress, context)
        why = f"the probe failed: {answer.words}{before}; {evidence.see_log(vassal)}"
        return fail(progress, context.now, Failure.PROBE, why), ()
    good = progress._replace(warmup=progress.warmup._replace(awaits_answer=False, status=answer.status))
    return _announce(good, vassal, context) if good.warmup.admitted is None else (good, ())


def _prove_health(progress: Progress, context: Context) -> Transition:
    """Wait until the vassal has been healthy for long enough, and probe it again meanwhile."""
    now, warmup = context.now, progress.warmup
    since = now if warmup.healthy_since is None else warmup.healthy_since
    if now - since >= _proof_seconds(progress, context.settings):
        return enter(progress, Phase.DONE, now, "serves again" if progress.keys else "restarted"), ()
    healthy = progress._replace(warmup=warmup._replace(healthy_since=since))
    if warmup.probed is not None and now - warmup.probed >= PROBE_AGAIN:
        return probe(healthy, context)
    return healthy, ()


def _proof_seconds(progress: Progress, settings: Settings) -> float:
    """Seconds that the vassal has to stay healthy: more where no router's subscription proves it."""
    if progress.keys:
        return settings.minimum_healthy_time
    return max(settings.minimum_healthy_time, ANNOUNCE_WAIT if progress.image is Image.NEW_PROCESS else STAY)
