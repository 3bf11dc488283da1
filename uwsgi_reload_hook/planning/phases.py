"""The rules of the phases: how one vassal moves through a roll, as pure functions of what is seen.

The table of the phases stands in transitions.py. A vassal that is not running is started anew instead of touched. One
that restarted by itself since the roll began already runs the new code and joins at `restarting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uwsgi_reload_hook.planning import absence, evidence
from uwsgi_reload_hook.planning.draining import draining
from uwsgi_reload_hook.planning.roll import (
    ClearBlacklist,
    Failure,
    Phase,
    Progress,
    SendProbe,
    Suspend,
    Unsubscribe,
)
from uwsgi_reload_hook.planning.transitions import (
    ANNOUNCE_WAIT,
    NEXT,
    RECOVERED,
    UNNOTICED_LOOKS,
    UNNOTICED_SECONDS,
    Context,
    Transition,
    enter,
    run_anew,
    subscribe,
    unless_late,
)
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Node, Vassal

__all__ = ["advance", "begin", "fail_done", "recover", "refused", "return_to_service", "same_process"]

ANNOUNCE_AGAIN = 1.0
"""Seconds after which a subscribe packet that had no effect is sent again."""
PROBE_AGAIN = 1.0
"""Seconds between two probes of a vassal that has to stay healthy for a time."""
STAY = 2.0
"""Seconds that a vassal without a router must live: one whose code does not load shows it within about one."""


def advance(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    """Move one vassal by what is seen of it now, at most one phase.

    A config that is not found counts as removed once the Emperor stops the vassal too, or does not know it any more.
    """
    if progress.phase is Phase.DONE:
        return _done(progress, vassal, moment), ()
    if not vassal.config_exists and not vassal.is_lost:
        return enter(progress, Phase.WITHDRAWN, moment.now, "its config was removed"), ()
    for node in vassal.nodes:
        if node.key not in progress.keys:
            progress = progress._replace(keys=progress.keys | vassal.keys)
    return _RULES[progress.phase](progress, vassal, moment)


def begin(progress: Progress, vassal: Vassal, nodes: tuple[Node, ...], moment: Context) -> Transition:
    """Take a pending vassal out of service: `nodes` are those of its live nodes that are unsubscribed."""
    live = absence.routed(vassal, moment.snapshot)
    reason = "unsubscribed"
    if not nodes:
        reason = "keeps its traffic until its reload" if live else "has no traffic to drain"
    drained = enter(
        progress,
        Phase.DRAINING,
        moment.now,
        reason,
        started=moment.now,
        nodes=live,
        drained=nodes,
        pid=vassal.pid if vassal.present and vassal.accepting else None,
    )
    return drained, (Unsubscribe(progress.id, nodes),) if nodes else ()


def return_to_service(
    progress: Progress, now: float, reason: str, table: Mapping[Phase, frozenset[Phase]] = NEXT
) -> Transition:
    """Return a vassal that was drained but not touched to service."""
    back = enter(progress, Phase.PENDING, now, reason, table=table, drained=(), started=None)
    return back, subscribe(progress, progress.drained)


def same_process(progress: Progress, vassal: Vassal) -> bool:
    """Whether the vassal is still the process that was taken out of service."""
    return vassal.present and vassal.pid == (progress.pid or progress.first_pid)


def recover(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    """Judge a vassal in flight whose hook has gone: nobody knows whether its last act was done."""
    undelivered = progress.phase is Phase.DRAINING or (
        progress.phase is Phase.TOUCHED and vassal.present and vassal.last_mod <= progress.last_mod
    )
    if not vassal.config_exists:
        return progress, ()  # it is withdrawn; its address may be somebody else's by now
    if not same_process(progress, vassal):
        anew = run_anew(progress, vassal, moment, "was started anew while no hook was there", RECOVERED)
        return anew, () if vassal.present else (ClearBlacklist((progress.id,)),)
    if undelivered:
        why = "given its traffic back: its hook went before it was reloaded"
        return return_to_service(progress, moment.now, why, RECOVERED)
    if progress.awaits_answer:
        return _probe(progress, moment)
    return progress, ()


def fail_done(progress: Progress, moment: Context) -> Transition:
    """Fail a vassal that was done, and died by itself while no hook was there."""
    why = "after it was done: its process ended while no hook was there; see its log"
    return enter(progress, Phase.FAILED, moment.now, why, failure=Failure.DIED), ()


def refused(progress: Progress, now: float, reason: str) -> Transition:
    """Fail a vassal that the system would not let us act on, and return it to service.

    One that has failed already, for its answer to the probe, keeps that reason too.
    """
    if progress.phase is Phase.FAILED:
        return progress._replace(reason=f"{progress.reason}; {reason}", drained=()), ()
    failed = enter(progress, Phase.FAILED, now, reason, failure=Failure.REFUSED, drained=())
    return failed, subscribe(progress, progress.drained)


def _pending(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    if vassal.pid != progress.first_pid and vassal.present and vassal.pid > 0:
        return run_anew(progress, vassal, moment, "was started by the Emperor after the trigger"), ()
    return absence.note_absence(progress, vassal, moment), ()


def _done(progress: Progress, vassal: Vassal, moment: Context) -> Progress:
    """Fail a vassal that died after it was done, because the new code may do that to every one."""
    why = evidence.death(progress, vassal)
    if not why or not vassal.config_exists:
        return progress
    return enter(progress, Phase.FAILED, moment.now, f"after it was done: {why}", failure=Failure.DIED)


def _touched(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    if why := evidence.death(progress, vassal):
        return enter(progress, Phase.FAILED, moment.now, why, failure=Failure.DIED), ()
    if vassal.last_mod > progress.last_mod:
        return enter(progress, Phase.RESTARTING, moment.now, "the Emperor noticed the touch"), ()
    looked = progress._replace(looks=progress.looks + 1)
    since = moment.now - (progress.acted if progress.acted is not None else moment.now)
    if looked.looks < UNNOTICED_LOOKS or since < UNNOTICED_SECONDS:
        return looked, ()
    why = (
        "the Emperor did not notice the touch of its config: if that is a symlink, set emperor-nofollow on the "
        "Emperor; if the Emperor runs as another user, see that it can read the file"
    )
    return enter(looked, Phase.FAILED, moment.now, why, failure=Failure.UNNOTICED, drained=()), subscribe(
        progress, progress.drained
    )


def _restarting(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    if why := evidence.death(progress, vassal):
        return enter(progress, Phase.FAILED, moment.now, why, failure=Failure.DIED), ()
    if progress.pid is None and vassal.present:
        progress = progress._replace(pid=vassal.pid)
    if not progress.executed and evidence.executed(progress, vassal):
        progress = progress._replace(executed=True)
    if not vassal.present or not evidence.renewed(progress, vassal) or (progress.accepts and not vassal.accepting):
        return _loading(progress, vassal, moment)
    # A late byte of an earlier start may say that it accepts: it is loading still.
    seen = progress.new_process or vassal.details is not None
    if not seen or not evidence.has_new_workers(progress, vassal):
        return unless_late(progress, moment, "does not start its workers")
    return _accepting(progress, vassal, moment)


def _loading(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    if again := evidence.live_again(progress, vassal, moment.snapshot):
        return progress, (Unsubscribe(progress.id, again),)
    return unless_late(progress, moment, "does not accept requests after its reload")


def _accepting(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    loaded = moment.now - (progress.acted if progress.acted is not None else moment.now)
    warming = enter(progress, Phase.WARMING, moment.now, "accepts requests", healthy_since=None, loaded=loaded)
    if moment.settings.probe is not None and progress.accepts:
        return _probe(warming, moment)
    return _announce(warming, vassal, moment)


def _announce(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    return progress._replace(announced=moment.now), subscribe(
        progress, evidence.not_live(progress, vassal, moment.snapshot)
    )


def _probe(progress: Progress, moment: Context) -> Transition:
    return progress._replace(probed=moment.now, awaits_answer=True), (SendProbe(progress.id, progress.nodes),)


def _warming(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    if why := evidence.death(progress, vassal):
        return enter(progress, Phase.FAILED, moment.now, why, failure=Failure.DIED), ()
    if progress.awaits_answer:
        return _judge_answer(progress, vassal, moment)
    missing = progress.keys - {node.key for node in moment.snapshot.live[vassal.id]}
    if missing or (progress.accepts and not vassal.accepting):
        lost = ", ".join(sorted(missing))
        complaint = f"is not subscribed again under {lost}" if missing else "stopped accepting"
        late, _ = unless_late(progress._replace(healthy_since=None), moment, complaint)
        early = progress.announced is not None and moment.now - progress.announced < ANNOUNCE_AGAIN
        return (late, ()) if early or late.phase is Phase.FAILED else _announce(late, vassal, moment)
    return _prove(progress, moment)


def _judge_answer(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    """Keep a vassal out of the routers until it has answered its first probe well; a bad answer is the end.

    It is not asked again: it goes on announcing itself, and only a pause holds broken code back from that.
    """
    traffic = tuple(node for node in moment.snapshot.live[vassal.id] if node.router not in moment.ignored_by)
    if vassal.probe is None:
        hold = progress.announced is None and (progress.drained or progress.new_process)
        late, _ = unless_late(progress, moment, "has not answered the probe")
        return late, (Unsubscribe(progress.id, traffic),) if traffic and hold else ()
    if vassal.probe.good:
        good = progress._replace(awaits_answer=False)
        return _announce(good, vassal, moment) if progress.announced is None else (good, ())
    failed = enter(progress, Phase.FAILED, moment.now, f"the probe failed: {vassal.probe.words}", failure=Failure.PROBE)
    if not progress.keys:  # out of no router: whoever asks it would only wait, instead of being answered
        return failed, ()
    out = (Unsubscribe(progress.id, traffic),) if traffic else ()
    return failed, (*out, Suspend(progress.id, vassal.pid))


def _prove(progress: Progress, moment: Context) -> Transition:
    """Let a healthy vassal stay so for as long as it has to, asking it again meanwhile."""
    healthy = progress._replace(healthy_since=moment.now if progress.healthy_since is None else progress.healthy_since)
    since = healthy.healthy_since if healthy.healthy_since is not None else moment.now
    if moment.now - since >= _proof(healthy, moment.settings):
        return enter(healthy, Phase.DONE, moment.now, "serves again" if progress.keys else "runs anew"), ()
    if progress.probed is not None and moment.now - progress.probed >= PROBE_AGAIN:
        return _probe(healthy, moment)
    return healthy, ()


def _proof(progress: Progress, settings: Settings) -> float:
    """Seconds that the vassal has to stay healthy: more where no router vouches for it."""
    if progress.keys:
        return settings.minimum_healthy_time
    return max(settings.minimum_healthy_time, ANNOUNCE_WAIT if progress.new_process else STAY)


_RULES: dict[Phase, Callable[[Progress, Vassal, Context], Transition]] = {
    Phase.PENDING: _pending,
    Phase.DRAINING: draining,
    Phase.TOUCHED: _touched,
    Phase.RESTARTING: _restarting,
    Phase.WARMING: _warming,
}
