"""The log lines of a roll."""

from __future__ import annotations

import logging
from http import HTTPStatus

from uwsgi_reload_hook.planning.old_answers import host_of, key_of
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import OldAnswer, Result, Roll
from uwsgi_reload_hook.probe_spec import AUTO
from uwsgi_reload_hook.records import events
from uwsgi_reload_hook.records.events import Event

__all__ = ["log_event"]

log = logging.getLogger(__name__)


def log_event(event: Event) -> None:
    """Log the lines by which an operator follows a roll. An observer."""
    match event:
        case events.RollBegan(roll, touched_before):
            _begin(roll, touched_before)
        case events.RollResumed(roll):
            log.info("roll %s is resumed where the previous hook left it", roll.id)
        case events.VassalMoved(_, before, after):
            _move(before, after)
        case events.RollStopping(roll) if roll.result is None:
            text = "roll %s stops: %s. No further vassal is reloaded; those out of service are finished"
            log.error(text, roll.id, roll.reason)
        case events.RollInterrupted(roll):
            end = _end(roll)
            log.info("roll %s is interrupted after %.2f s: %s. The hook's next start resumes it", *end, roll.reason)
        case events.RollRestored(roll):
            out = [one.id for one in roll.vassals.values() if one.phase.is_out or one.phase is Phase.FAILED]
            text = "roll %s is undone after %.2f s, because a whole roll follows; not back in service: %s"
            log.info(text, *_end(roll), _listed(out))
        case events.RollClosed(roll):
            _close(roll)
        case _:
            pass


def _begin(roll: Roll, touched_before: float) -> None:
    for id_, why in sorted(roll.excluded.items()):
        log.info("%s is left alone: %s", id_, why)
    log.info(
        "roll %s begins, %.3f s after the touch%s: %d vassals, of which must serve: %s",
        roll.id,
        touched_before,
        f" ({roll.request.message})" if roll.request.message else "",
        len(roll.vassals),
        _listed([f"{number} of {key}" for key, number in sorted(roll.minimum.items())]),
    )


def _move(before: Progress, after: Progress) -> None:
    level = logging.ERROR if after.phase is Phase.FAILED else logging.INFO
    phases = before.phase.value, after.phase.value
    log.log(level, "%s: %s -> %s after %.2f s: %s", after.id, *phases, after.since - before.since, after.reason)


def _close(roll: Roll) -> None:
    ids = {phase: [one.id for one in roll.within(phase)] for phase in (Phase.DONE, Phase.FAILED, Phase.PENDING)}
    reloaded = len(ids[Phase.DONE])
    if roll.result is Result.DONE:
        reason = f": {roll.reason}" if roll.reason else ""
        level = logging.WARNING if reason else logging.INFO
        log.log(level, "roll %s is done after %.2f s: %d vassals reloaded%s", *_end(roll), reloaded, reason)
        _tell_refused_hosts(roll)
        return
    log.error(
        "roll %s is over after %.2f s, %s: %s. Reloaded: %d; failed: %s; not touched, still on the old code: %s%s. "
        "Fix the cause and touch the trigger again",
        *_end(roll),
        roll.result.value if roll.result else "unfinished",
        roll.reason,
        reloaded,
        _listed(ids[Phase.FAILED]),
        _listed(ids[Phase.PENDING]),
        f"; in the middle of their reload: {_listed([one.id for one in roll.out])}" if roll.out else "",
    )


def _tell_refused_hosts(roll: Roll) -> None:
    """Tell of the keys under which the old code and the new one refuse the probe, unless the last roll has told it."""
    refused = {key_of(one): one for one in roll.within(Phase.DONE) if one.warmup.status == HTTPStatus.BAD_REQUEST}
    for key, one in refused.items():
        answer = roll.old_answers.get(key, OldAnswer())
        if answer.best == HTTPStatus.BAD_REQUEST != answer.remembered:
            log.warning(
                "%s: GET %s with Host %s is answered with 400 by the old code and by the new one, so the probe tells "
                "nothing of a deploy. If the application does not accept this host (Django: ALLOWED_HOSTS), give one "
                "that it does: reload-hook-probe = path=/,host=www.example.org; or none, to ask nobody",
                one.id,
                AUTO.path,
                host_of(one),
            )


def _end(roll: Roll) -> tuple[str, float]:
    return roll.id, (roll.finished or roll.started) - roll.started


def _listed(words: list[str]) -> str:
    return ", ".join(words) or "none"
