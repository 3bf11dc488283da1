"""The phase `draining`: how a vassal leaves service, up to the touch of its config."""

from __future__ import annotations

from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.roll import ClearBlacklist, Failure, Phase, Progress, Touch, Unsubscribe
from uwsgi_reload_hook.planning.transitions import (
    UNNOTICED_LOOKS,
    UNNOTICED_SECONDS,
    Context,
    Transition,
    enter,
    run_anew,
    subscribe,
    unless_late,
)
from uwsgi_reload_hook.snapshot import Vassal

__all__ = ["draining"]


def draining(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    """Wait until no router has a request in flight to it, then touch its config."""
    if progress.pid is None:
        return _draining_down(progress, vassal, moment)
    if not vassal.present or vassal.cursed or vassal.pid != progress.pid:
        return enter(
            progress, Phase.FAILED, moment.now, "died by itself while it was drained", failure=Failure.DIED
        ), ()
    return _touch_when_drained(progress, vassal, moment)


def _draining_down(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    """A vassal that did not accept when it was taken: it may be missing, come back by itself, or hang."""
    if not vassal.present:
        anew = run_anew(progress, vassal, moment, "was not running: started anew")
        return anew, (ClearBlacklist((progress.id,)),)
    if vassal.pid != progress.first_pid:
        return run_anew(progress, vassal, moment, "was started by the Emperor after the trigger"), ()
    if vassal.cursed:
        return unless_late(progress, moment, "is dying, and does not end")
    return _touch_when_drained(progress, vassal, moment)


def _touch_when_drained(progress: Progress, vassal: Vassal, moment: Context) -> Transition:
    passed = moment.now - (progress.started if progress.started is not None else moment.now)
    if passed >= moment.settings.drain_timeout:
        return _touch(progress, vassal, moment, "drain-timeout reached")
    if again := evidence.live_again(progress, vassal, moment.snapshot):
        looked = progress._replace(looks=progress.looks + 1)
        if looked.looks < UNNOTICED_LOOKS or passed < UNNOTICED_SECONDS:
            # At the first, second, fourth, eighth … look: a packet is taken before a router answers, or never.
            return looked, (Unsubscribe(progress.id, again),) if looked.looks & progress.looks == 0 else ()
        progress = progress._replace(ignored_by=progress.ignored_by | {node.router for node in again})
    if progress.looks:
        progress = progress._replace(looks=0)
    return (
        _touch(progress, vassal, moment, _drained(progress))
        if evidence.is_drained(progress, vassal)
        else (progress, ())
    )


def _drained(progress: Progress) -> str:
    """How a vassal was drained, in words."""
    if not progress.ignored_by:
        return "drained"
    rest = "" if {node.router for node in progress.drained} == progress.ignored_by else "drained elsewhere; "
    return (
        f"{rest}not drained at {', '.join(sorted(progress.ignored_by))}: the router takes no packets of the hook "
        "(are subscriptions signed, or credentials checked?)"
    )


def _wait_for_the_clock(progress: Progress, moment: Context) -> Transition:
    """Wait for a second that the Emperor has not seen: only "now" can be set. A clock that was set back takes hours."""
    complaint = "has a config younger than the present second, the only one that the hook may give it: chown the config"
    late, _ = unless_late(progress, moment, complaint)
    if late.phase is not Phase.FAILED:
        return progress, ()
    return late._replace(drained=()), subscribe(progress, progress.drained)


def _touch(progress: Progress, vassal: Vassal, moment: Context, reason: str) -> Transition:
    details = vassal.details
    if details is None:
        return progress, ()
    if details.touch_problem:
        failed = enter(progress, Phase.FAILED, moment.now, details.touch_problem, failure=Failure.REFUSED, drained=())
        return failed, subscribe(progress, progress.drained)
    second = int(moment.snapshot.wall)
    if not details.may_set_mtime and second <= vassal.last_mod:
        return _wait_for_the_clock(progress, moment)
    mtime = max(second, vassal.last_mod + 1) if details.may_set_mtime else None
    touched = enter(
        progress,
        Phase.TOUCHED,
        moment.now,
        reason,
        acted=moment.now,
        pid=vassal.pid,
        respawns=vassal.respawns,
        last_mod=vassal.last_mod,
        reloads=details.reloads,
        children=details.children,
        accepts=vassal.accepting or bool(progress.keys),
        looks=0,
    )
    paths = (details.touch_path, details.touch_also) if details.touch_also else (details.touch_path,)
    return touched, tuple(Touch(progress.id, path, mtime) for path in paths)
