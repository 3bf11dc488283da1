"""Masters are woken as CPUs become free, and none of them waits for longer than it would have slept anyway."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.rolling import WatchedSite, run, settings
from tests.simulator import MASTER_CYCLE, FakeVassal
from uwsgi_reload_hook.model import Details, Snapshot, Vassal
from uwsgi_reload_hook.roll import Nudge, Phase, Progress, Request, Roll
from uwsgi_reload_hook.waking import detailed, wake

OLD, NEW = frozenset({(1, 1.0)}), frozenset({(2, 2.0)})
READY = Details(reloads=0, children=frozenset())


def roll(**vassals: Progress) -> Roll:
    return Roll("1", Request(1), 0.0, 0.0, {name: one._replace(id=name) for name, one in vassals.items()})


def seen(cpus: int, **details: Details | None) -> Snapshot:
    found = {name: Vassal(name, pid=7, details=one) for name, one in details.items()}
    return Snapshot(1000.0, found, cpus=cpus)


def restarting(*, nudged: bool = False, executed: bool = False) -> Progress:
    return Progress("", Phase.RESTARTING, reloads=0, children=OLD, nudged=nudged, executed=executed)


def woken(roll: Roll, snapshot: Snapshot) -> list[str]:
    changed, nudges = wake(roll, snapshot)
    assert [nudge.vassal for nudge in nudges] == list(changed)
    assert all(nudge == Nudge(nudge.vassal, 7) for nudge in nudges)
    assert all(one == roll.vassals[id_]._replace(nudged=True) for id_, one in changed.items())
    return list(changed)


@pytest.mark.parametrize(("cpus", "expected"), [(0, "abc"), (1, "a"), (2, "ab"), (8, "abc")])
def test_as_many_are_woken_as_there_are_cpus(cpus: int, expected: str) -> None:
    waiting = {name: restarting() for name in "abc"}
    assert woken(roll(**waiting), seen(cpus, a=READY, b=READY, c=READY)) == list(expected)


@pytest.mark.parametrize(("running", "expected"), [(True, ""), (False, "b")])
def test_one_whose_interpreter_starts_keeps_its_cpu(*, running: bool, expected: str) -> None:
    starting = Details(reloads=1, children=frozenset(), running=running)
    flying = roll(a=restarting(nudged=True, executed=True), b=restarting())
    assert woken(flying, seen(1, a=starting, b=READY)) == list(expected)


def test_one_that_was_woken_and_has_not_stirred_is_woken_again_and_keeps_its_cpu() -> None:
    flying = roll(a=restarting(), b=restarting(nudged=True))
    assert woken(flying, seen(1, a=READY, b=READY)) == ["b"]


def test_one_whose_workers_are_there_still_is_left_alone() -> None:
    busy = Details(reloads=0, children=OLD, running=True)
    assert woken(roll(a=restarting(), b=restarting()), seen(1, a=busy, b=READY)) == ["b"]
    assert woken(roll(a=restarting()), seen(1, a=busy)) == []
    assert woken(roll(a=restarting()), seen(1, a=None)) == []


def test_those_that_run_are_looked_into_while_somebody_waits_for_their_cpu() -> None:
    runs, waits = restarting(nudged=True, executed=True), restarting()
    done, pending = Progress("", Phase.DONE, nudged=True, executed=True), Progress("")
    assert detailed(roll(a=runs, b=waits, c=done, d=pending)) == ["a", "b"]
    assert detailed(roll(a=runs, b=waits._replace(nudged=True), c=done, d=pending)) == ["b"]
    assert detailed(roll(a=runs, b=waits._replace(new_process=True))) == []


def rolled(cpus: int, start: float) -> WatchedSite:
    site = WatchedSite([FakeVassal(f"v{number}.ini", load=2.0, start=start) for number in range(7)])
    site.cpus, site.minimum = cpus, {"app": 1}
    assert run(site, settings(canary=0)).result == "done"
    return site


def moments(site: WatchedSite) -> list[float]:
    first = {action.vassal: when for when, action in reversed(site.performed) if isinstance(action, Nudge)}
    return sorted(first.values())


def test_a_wave_is_woken_by_and_by() -> None:
    first_wave = moments(rolled(2, 0.1))[:6]
    assert [second - first >= 0.1 for first, second in pairwise(first_wave[::2])] == [True, True]
    assert first_wave[-1] - first_wave[0] < 3 * 0.1


def test_nobody_waits_for_longer_than_a_masters_own_cycle() -> None:
    site = rolled(1, 60.0)
    assert len(moments(site)) < 7, "the others have woken by themselves"
    slow, quick = (max(one.code_since for one in there.vassals.values()) for there in (site, rolled(0, 60.0)))
    assert slow <= quick + 2 * MASTER_CYCLE
