"""From the touch to the first request: what is waited for, and what a new process is judged by."""

from __future__ import annotations

from dataclasses import replace

from tests.support.build import (
    APP,
    a_node,
    a_progress,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    known,
    started_anew,
    taken,
    touched,
    touched_at,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import restarting
from uwsgi_reload_hook.planning.actions import Unsubscribe
from uwsgi_reload_hook.planning.progress import Image, Phase, Progress
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.snapshot import Blacklisting, ProcessFacts, Vassal

NOW = 50.0
OLD, NEW = frozenset({(1, 1)}), frozenset({(2, 2)})
NODE = a_node()
RELOADS = touched(known(a_progress("a", Phase.RESTARTING, keys=APP), reloads=0, children=OLD), at=NOW - 1)


def seen_of(one: Progress, there: Vassal) -> Transition:
    return restarting.observe_restarting(one, there, Context(a_snapshot(there), settings(), NOW))


def with_workers(reloads: int, children: frozenset[tuple[int, int]]) -> Vassal:
    return a_vassal("a", details=ProcessFacts(reloads=reloads, children=children))


def test_an_accepting_byte_proves_nothing_before_a_new_worker_is_there() -> None:
    reexecuted, actions = seen_of(RELOADS, with_workers(1, frozenset()))
    assert (reexecuted.phase, reexecuted.image, actions) == (Phase.RESTARTING, Image.REEXECUTED, ())
    unread, _ = seen_of(reexecuted, a_vassal("a"))
    assert unread.phase is Phase.RESTARTING, "its workers were not looked at"
    assert seen_of(reexecuted, with_workers(1, NEW))[0].phase is Phase.WARMING
    assert seen_of(RELOADS, with_workers(0, OLD | NEW))[0].phase is Phase.RESTARTING, "an old worker is left"


def test_a_vassal_of_mules_only_is_back_when_it_runs_its_new_code() -> None:
    mules = RELOADS._replace(before=RELOADS.before._replace(accepts=False), keys=frozenset())
    there = replace(with_workers(1, NEW), accepting=False)
    assert seen_of(mules, there)[0].phase is Phase.WARMING
    assert seen_of(started_anew(mules), there)[0].phase is Phase.WARMING
    missing = a_vassal("a", present=False, accepting=False)
    waits = started_anew(mules)._replace(before=mules.before._replace(pid=None))
    assert seen_of(waits, missing)[0].phase is Phase.RESTARTING
    assert seen_of(RELOADS, there)[0].phase is Phase.RESTARTING, "one with keys has to accept"


def test_a_vassal_that_announces_itself_before_its_end_is_unsubscribed_again() -> None:
    again = a_vassal("a", nodes=(NODE,), accepting=False)
    assert seen_of(unsubscribed(RELOADS, NODE), again)[1] == (Unsubscribe("a", (NODE,)),)
    assert seen_of(RELOADS, again)[1] == ()


def test_the_pid_of_a_vassal_that_was_down_is_noted_when_it_runs() -> None:
    started = started_anew(known(a_progress("a", Phase.RESTARTING), None))
    noted, _ = seen_of(started, a_vassal("a", accepting=False))
    assert noted.before.pid == 7
    assert seen_of(started, a_vassal("a", present=False, accepting=False))[0].before.pid is None


def new(one: Progress, there: Vassal) -> Progress:
    return restarting.new_process(one, there, Context(a_snapshot(there), settings(), NOW), "because")


def test_a_new_process_is_judged_from_its_own_start() -> None:
    entry = Blacklisting(5, 1)
    one = new(a_progress("a", keys=APP), a_vassal("a", accepting=False, pid=9, blacklisted=entry, respawns=3))
    assert (one.phase, one.since, one.image) == (Phase.RESTARTING, NOW, Image.NEW_PROCESS)
    assert (one.times.started, touched_at(one)) == (NOW, NOW)
    assert (one.before.pid, one.before.blacklisted, one.before.respawns, one.before.accepts) == (9, entry, 0, True)
    assert one.warmup.admitted is None, "it serves nothing yet"
    assert new(a_progress("a"), a_vassal("a", present=False, accepting=False)).before.pid is None


def test_a_new_process_keeps_what_was_learnt_before() -> None:
    drained = taken(a_progress("a", Phase.DRAINING, keys=APP), NOW - 5)
    mules = drained._replace(before=drained.before._replace(accepts=False))
    one = new(mules, a_vassal("a", accepting=False))
    assert (one.times.started, one.before.accepts) == (NOW - 5, False)


def test_a_new_process_that_serves_already_stays_in_service() -> None:
    assert new(a_progress("a", keys=APP), a_subscribed_vassal("a")).warmup.admitted == NOW
