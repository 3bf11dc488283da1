"""The probe `auto`: what the old code under a key answers, and what the new code is held against. Pure.

The old code is asked once a key and roll, over the socket of the vassal that is drained first, so that the question
costs no time. Nothing waits for the answer. It counts where a look shows that the old code gave it: before the touch,
or after it while the master and its workers are still those of before. A request may also wait in the socket through
the reload, and is then answered by the new code.

Where that vassal answers worse than with a status below 500, another one that serves is asked, because the first may
run broken code of a deploy before. Where none that serves is drained, because the canary is down, the answer of the
last roll counts. Old code that does not answer at all is not asked again in the roll: a worker would hang each time.
The worker that hangs in such a question is ended, because the reload would wait for it.
"""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.actions import EndRequest, SendProbe
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Mode, OldAnswer, Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.probe_spec import AUTO
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = [
    "ask",
    "comparison",
    "end_hanging",
    "forget_questions",
    "host_of",
    "in_words",
    "is_good",
    "is_probed",
    "key_of",
    "note",
    "question",
]

MOST_ASKED = 3
"""Vassals of one key that are asked in a roll, at most, because no more are expected to run broken code of before."""
HANGS_AFTER = 1.0
"""Seconds from the touch after which a request to the old code is taken to hang: its worker keeps the reload waiting.
"""
NO_KEY = "localhost"
"""The host that a vassal without a subscription key is asked for."""
_UNDECIDED = frozenset({Phase.DRAINING, Phase.TOUCHED, Phase.RESTARTING})
"""The phases of a vassal whose new code has yet to answer."""


def is_good(status: int) -> bool:
    """Whether an HTTP status shows that the application answers; 0 is no answer."""
    return AUTO.lowest <= status <= AUTO.highest


def key_of(progress: Progress) -> str:
    """The key that a vassal is asked under: of several always the same one; its id where it has none."""
    return min(progress.keys, default=progress.id)


def host_of(progress: Progress) -> str:
    """The host that a vassal is asked for, unless the option names one."""
    if progress.keys:
        return min(progress.keys)
    return next((node.key for node in progress.drain.nodes), NO_KEY)


def is_probed(progress: Progress, context: Context) -> bool:
    """Whether the new code of a vassal has to answer a probe before it gets requests."""
    probe = context.settings.probe
    return probe is not None and (not probe.compares or is_good(_best(progress, context)))


def comparison(progress: Progress, context: Context) -> str:
    """What the old code has answered, in words that follow a bad answer; empty = it was not asked."""
    probe, best = context.settings.probe, _best(progress, context)
    return f"; the old code has answered with {best}" if probe and probe.compares and best else ""


def in_words(progress: Progress, context: Context) -> str:
    """The request that a vassal was asked, in words."""
    asked, probe = question(progress, context.snapshot), context.settings.probe or AUTO
    address = f" at {asked.nodes[0].address}" if asked.nodes else ""
    return f"GET {probe.path} with Host {probe.host or host_of(progress)}{address}"


def _best(progress: Progress, context: Context) -> int:
    return context.old_answers.get(key_of(progress), OldAnswer()).best


def question(progress: Progress, snapshot: Snapshot) -> SendProbe:
    """The probe of a vassal, old code or new, under its key."""
    key = key_of(progress)
    nodes = progress.drain.nodes or snapshot.vassals[progress.id].nodes
    own = [node for node in nodes if node.key == key] or [*nodes]
    host = host_of(progress)
    if own:
        return SendProbe(progress.id, tuple(own[:1]), "" if own[0].key == host else host)
    alike = (node for one in snapshot.vassals.values() for node in one.nodes if node.key == key)
    modifiers = next(((node.modifier1, node.modifier2) for node in alike), None)
    return SendProbe(progress.id, (), host, modifiers)


def note(roll: Roll, snapshot: Snapshot) -> Roll:
    """Note the answers of old code that this look shows."""
    awaited = {key: answer for key, answer in roll.old_answers.items() if answer.awaited}
    noted = {key: _noted(answer, roll, snapshot) for key, answer in awaited.items()}
    return roll if noted == awaited else replace(roll, old_answers={**roll.old_answers, **noted})


def _noted(answer: OldAnswer, roll: Roll, snapshot: Snapshot) -> OldAnswer:
    progress, vassal = roll.vassals[answer.asked[-1]], snapshot.vassals[answer.asked[-1]]
    if vassal.probe is None:
        return answer
    status = vassal.probe.status
    if not status:
        return answer._replace(awaited=False, status=answer.status or 0)
    of_old_code = _is_of_old_code(progress, vassal)
    if of_old_code is None:
        return answer
    return answer._replace(awaited=False, status=status if of_old_code else answer.status)


def _is_of_old_code(progress: Progress, vassal: Vassal) -> bool | None:
    """Whether old code gave the answer that is there; None = the next look will show it."""
    if progress.phase is Phase.PENDING or progress.phase is Phase.DRAINING:
        return vassal.pid == progress.first_pid
    if progress.phase is Phase.TOUCHED or (progress.phase is Phase.RESTARTING and vassal.details is None):
        return None
    return progress.phase is Phase.RESTARTING and evidence.runs_old_code(progress, vassal)


def ask(roll: Roll, context: Context) -> tuple[Roll, tuple[SendProbe, ...]]:
    """Ask the old code of each key while the first vassals of that key are being reloaded, and none of them is done."""
    probe = context.settings.probe
    if probe is None or not probe.compares or roll.mode is not Mode.WHOLE or roll.stopping is not None:
        return roll, ()
    keys = {key_of(one) for one in roll.out if one.phase in _UNDECIDED}
    keys = {key for key in keys if _may_ask(roll.old_answers.get(key, OldAnswer()))}
    if not keys:
        return roll, ()
    keys -= {key_of(one) for one in roll.within(Phase.DONE)}
    answers, questions = {**roll.old_answers}, []
    for key in sorted(keys):
        answer = answers.get(key, OldAnswer())
        if one := _whom(key, answer, roll, context):
            answers[key] = answer._replace(asked=(*answer.asked, one.id), awaited=True)
            questions.append(question(one, context.snapshot))
    return replace(roll, old_answers=answers), tuple(questions)


def end_hanging(roll: Roll, context: Context) -> tuple[Roll, tuple[EndRequest, ...]]:
    """End the requests to old code that would make a reload wait, up to the mercy of the vassal's workers."""
    answers, acts = {**roll.old_answers}, []
    for key, answer in roll.old_answers.items():
        one = roll.vassals[answer.asked[-1]] if answer.awaited else None
        if one is not None and one.phase is Phase.RESTARTING and not one.image.is_new:
            touched = context.now if one.times.restarted is None else one.times.restarted
            if context.now - touched >= HANGS_AFTER:
                answers[key] = answer._replace(awaited=False, status=answer.status or 0)
                acts.append(EndRequest(one.id, context.snapshot.vassals[one.id].pid))
    return (replace(roll, old_answers=answers), tuple(acts)) if acts else (roll, ())


def _may_ask(answer: OldAnswer) -> bool:
    """Whether nobody was asked yet, or the one asked last has answered, but badly or with what may be new code."""
    if answer.awaited or len(answer.asked) >= MOST_ASKED:
        return False
    return answer.status is None or (answer.status != 0 and not is_good(answer.status))


def _whom(key: str, answer: OldAnswer, roll: Roll, context: Context) -> Progress | None:
    """A vassal of the key that serves and was not asked: best one that is drained, because it has no other requests.

    A vassal that rests is not asked, because a question would wake it.
    """
    served, seen = context.snapshot.served, context.snapshot.vassals
    for one in roll.within(Phase.DRAINING):
        if key_of(one) == key and one.id not in answer.asked and _was_serving(one) and not seen[one.id].rests:
            return one
    if answer.remembered and not answer.asked:
        return None
    for one in roll.within(Phase.PENDING):
        if key_of(one) == key and one.id not in answer.asked and key in served[one.id] and not seen[one.id].rests:
            return one
    return None


def _was_serving(progress: Progress) -> bool:
    """Whether requests reached a vassal until it was taken. `accepting` alone is also true of a suspended one."""
    return progress.drain.was_serving and bool(progress.drain.nodes or not progress.keys)


def forget_questions(roll: Roll) -> Roll:
    """Forget the questions that are open, because their answers were lost with the connections of the hook before."""
    answers: dict[str, OldAnswer] = {key: one._replace(awaited=False) for key, one in roll.old_answers.items()}
    return replace(roll, old_answers=answers)
