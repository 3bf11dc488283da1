"""Vassals are touched and masters woken as CPUs become free, and nobody waits for long."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.build import (
    a_progress,
    a_roll,
    a_snapshot,
    a_vassal,
    executed,
    known,
    started_anew,
    touched,
    woken,
)
from tests.support.rolling import WatchedSite, a_site, run, settings
from tests.support.simulator import MASTER_CYCLE
from uwsgi_reload_hook.planning.actions import Touch, WakeMaster
from uwsgi_reload_hook.planning.polling import look_after
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.schedule import schedule
from uwsgi_reload_hook.planning.throttle import ENDING, free_for_touches, to_wake
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import ProcessFacts, Snapshot

OLD, NEW = frozenset({(1, 1)}), frozenset({(2, 2)})
READY = ProcessFacts(reloads=0, children=frozenset())


RESTARTING = known(a_progress("", Phase.RESTARTING), reloads=0, children=OLD)
RUNS = executed(woken(RESTARTING))
"""Its master was woken, and has executed itself anew."""


def roll(**vassals: Progress) -> Roll:
    return a_roll(*(one._replace(id=name) for name, one in vassals.items()))


def seen(cpus: int, **details: ProcessFacts | None) -> Snapshot:
    return a_snapshot(*(a_vassal(name, accepting=False, details=one) for name, one in details.items()), cpus=cpus)


def woken_of(roll: Roll, snapshot: Snapshot) -> list[str]:
    found = to_wake(roll, snapshot)
    after, actions = schedule(roll, Context(snapshot, settings(), 0.0))
    assert actions == tuple(WakeMaster(one.id, 7) for one in found)
    assert after.vassals == {**roll.vassals, **{one.id: woken(one) for one in found}}
    return [one.id for one in found]


@pytest.mark.parametrize(("cpus", "expected"), [(0, "abc"), (1, "a"), (2, "ab"), (8, "abc")])
def test_as_many_are_woken_as_there_are_cpus(cpus: int, expected: str) -> None:
    waiting = dict.fromkeys("abc", RESTARTING)
    assert woken_of(roll(**waiting), seen(cpus, a=READY, b=READY, c=READY)) == list(expected)


@pytest.mark.parametrize(("running", "expected"), [(True, ""), (False, "b")])
def test_a_vassal_whose_interpreter_starts_keeps_its_cpu(*, running: bool, expected: str) -> None:
    starting = ProcessFacts(reloads=1, children=frozenset(), running=running)
    flying = roll(a=RUNS, b=RESTARTING)
    assert woken_of(flying, seen(1, a=starting, b=READY)) == list(expected)


def test_a_master_that_has_not_reacted_is_woken_again_and_keeps_its_cpu() -> None:
    flying = roll(a=RESTARTING, b=woken(RESTARTING))
    assert woken_of(flying, seen(1, a=READY, b=READY)) == ["b"]
    assert woken_of(flying, seen(8, a=READY, b=READY)) == ["b", "a"]


def test_more_busy_masters_than_cpus_leave_all_others_asleep() -> None:
    flying = roll(a=woken(RESTARTING), b=woken(RESTARTING), c=RESTARTING, d=RESTARTING)
    assert woken_of(flying, seen(1, a=READY, b=READY, c=READY, d=READY)) == ["a", "b"]


def test_a_master_whose_workers_still_run_is_not_woken() -> None:
    busy = ProcessFacts(reloads=0, children=OLD, running=True)
    assert woken_of(roll(a=RESTARTING, b=RESTARTING), seen(1, a=busy, b=READY)) == ["b"]
    assert woken_of(roll(a=RESTARTING), seen(1, a=busy)) == []
    assert woken_of(roll(a=RESTARTING), seen(1, a=None)) == []


def inspected(roll: Roll) -> list[str]:
    return sorted(look_after(0.0, roll).inspect)


def test_those_that_run_are_looked_into_while_somebody_waits_for_their_cpu() -> None:
    runs, waits = RUNS, RESTARTING
    done, pending = executed(woken(a_progress("", Phase.DONE))), a_progress("")
    assert inspected(roll(a=runs, b=waits, c=done, d=pending)) == ["a", "b"]
    assert inspected(roll(a=runs, b=woken(waits), c=done, d=pending)) == ["b"]
    assert inspected(roll(a=runs, b=started_anew(waits))) == []


def free_at(now: float, ready: int, restarting: Roll, snapshot: Snapshot) -> int:
    return free_for_touches(ready, restarting, Context(snapshot, settings(), now))


@pytest.mark.parametrize(("cpus", "expected"), [(0, 3), (1, 1), (2, 2), (8, 8)])
def test_as_many_are_touched_as_there_are_cpus(cpus: int, expected: int) -> None:
    assert free_at(0.0, 3, roll(), seen(cpus)) == expected


@pytest.mark.parametrize(("touches", "flying", "expected"), [(8, 0, 1), (9, 0, 2), (40, 0, 5), (30, 10, 5), (3, 14, 3)])
def test_of_many_an_eighth_is_touched_at_a_time(touches: int, flying: int, expected: int) -> None:
    there = roll(**{f"f{number}": executed(a_progress("", Phase.RESTARTING)) for number in range(flying)})
    assert free_at(0.0, touches, there, seen(1)) == expected


def test_only_touches_wait_for_a_cpu() -> None:
    """`b`, `c` and `d` are drained; `c` is down, so that it is started instead of touched."""
    drained = known(a_progress("", Phase.DRAINING, started=0.0, first_pid=7))
    down = a_progress("", Phase.DRAINING, started=0.0)
    ready = ProcessFacts(touch_path="x")
    there = seen(1, b=ready, d=ready)
    there = a_snapshot(*there.vassals.values(), a_vassal("c", present=False, accepting=False), cpus=1)
    after, _ = schedule(roll(b=drained, c=down, d=drained), Context(there, settings(), 1.0))
    assert [one.phase for one in after.vassals.values()] == [Phase.TOUCHED, Phase.RESTARTING, Phase.DRAINING]


@pytest.mark.parametrize(
    ("before", "details", "held"),
    [
        (a_progress("", Phase.TOUCHED), None, True),
        (RESTARTING, None, True),
        (RESTARTING, ProcessFacts(reloads=0, children=OLD), True),
        (RESTARTING, READY, False),
        (woken(RESTARTING), READY, False),
        (executed(RESTARTING), ProcessFacts(reloads=1, children=frozenset(), running=True), False),
        (started_anew(RESTARTING), None, False),
        (a_progress("", Phase.WARMING), None, False),
    ],
)
def test_a_vassal_whose_workers_end_keeps_its_cpu_but_not_for_long(
    before: Progress, details: ProcessFacts | None, *, held: bool
) -> None:
    restarting, there = roll(a=touched(before, at=5.0)), seen(1, a=details)
    assert free_at(5.0 + ENDING / 2, 1, restarting, there) == (0 if held else 1)
    assert free_at(5.0 + ENDING + 0.001, 1, restarting, there) == 1


def test_more_ending_vassals_than_cpus_hold_all_other_touches_back() -> None:
    ending = touched(a_progress("", Phase.TOUCHED), at=0.0)
    assert free_at(0.0, 1, roll(a=ending, b=ending), seen(1, a=None, b=None)) == 0
    assert free_at(ENDING, 1, roll(a=ending, b=ending), seen(1, a=None, b=None)) == 1


def rolled(cpus: int, start: float) -> WatchedSite:
    site = a_site(7, 1, first=0, each={"load": 2.0, "start": start})
    site.cpus = cpus
    assert run(site, settings(canary=0)).result == "done"
    return site


def moments(site: WatchedSite, kind: type[WakeMaster | Touch] = WakeMaster) -> list[float]:
    first = {action.vassal: when for when, action in reversed(site.performed) if isinstance(action, kind)}
    return sorted(first.values())


def test_a_wave_is_touched_as_cpus_become_free() -> None:
    first_wave = moments(rolled(2, 0.1), Touch)[:6]
    assert [second - first >= 0.01 for first, second in pairwise(first_wave[::2])] == [True, True], "a worker's end"
    assert first_wave[-1] - first_wave[0] < 0.1
    assert len(set(moments(rolled(0, 0.1), Touch)[:6])) == 1


def test_a_wave_is_woken_as_cpus_become_free() -> None:
    first_wave = moments(rolled(2, 0.1))[:6]
    assert [second - first >= 0.1 for first, second in pairwise(first_wave[::2])] == [True, True]
    assert first_wave[-1] - first_wave[0] < 3 * 0.1


def test_nobody_waits_for_longer_than_a_masters_own_cycle() -> None:
    site = rolled(1, 60.0)
    assert len(moments(site)) < 7, "the others have woken by themselves"
    slow, quick = (max(one.code_since for one in there.vassals.values()) for there in (site, rolled(0, 60.0)))
    assert slow <= quick + 2 * MASTER_CYCLE
