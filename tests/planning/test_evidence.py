"""What one look proves about one vassal: each rule on its own, because a whole roll has several proofs at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    a_node,
    a_progress,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    executed,
    known,
    started_anew,
    unsubscribed,
    woken,
)
from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.progress import Baseline, Phase, Progress
from uwsgi_reload_hook.snapshot import Blacklisting, ProcessFacts, Vassal

OLD, NEW, NONE = frozenset({(1, 1)}), frozenset({(2, 2)}), frozenset[tuple[int, int]]()
BEFORE = known(a_progress("a", Phase.RESTARTING), reloads=0, children=OLD)
UNREADABLE = known(a_progress("a", Phase.RESTARTING))
UP = a_vassal("a")


def with_details(reloads: int | None, children: frozenset[tuple[int, int]] | None) -> Vassal:
    return replace(UP, details=ProcessFacts(reloads=reloads, children=children))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (replace(UP, respawns=2), ""),
        (replace(UP, respawns=3), ""),
        (replace(UP, respawns=1), "died and was started again (the Emperor's count"),
        (replace(UP, pid=8), "died (pid 7) and was started again (pid 8)"),
        (replace(UP, cursed=True), "its process ended, and the Emperor has cursed it"),
        (replace(UP, present=False), "its process ended; see its log"),
        (replace(UP, present=False, blacklisted=Blacklisting(5, 1)), "its process ended; see its log"),
        (
            replace(UP, present=False, blacklisted=Blacklisting(6, 1)),
            "does not start: in the Emperor's blacklist after 2",
        ),
    ],
)
def test_each_kind_of_death_is_told_in_words(there: Vassal, words: str) -> None:
    before = Baseline(pid=7, respawns=2, blacklisted=Blacklisting(5, 0))
    found = evidence.why_dead(before, there)
    assert found.startswith(words)
    assert bool(found) is bool(words)


def test_a_vassal_that_is_not_there_yet_is_not_dead_before_it_fails_to_start() -> None:
    waits = replace(UP, present=False)
    assert evidence.why_dead(Baseline(), waits) == ""
    assert evidence.why_dead(Baseline(), UP) == ""
    assert evidence.why_dead(Baseline(), replace(waits, blacklisted=Blacklisting(5, 0))).startswith("does not start")


@pytest.mark.parametrize(
    ("there", "expected"),
    [(UP, False), (replace(UP, pid=8), True), (replace(UP, cursed=True), True), (replace(UP, present=False), True)],
)
def test_a_done_vassal_is_another_once_its_process_ends_or_is_cursed(there: Vassal, *, expected: bool) -> None:
    assert evidence.is_another(Baseline(pid=7), there) is expected


@pytest.mark.parametrize(
    ("before", "there", "expected"),
    [
        (executed(BEFORE), with_details(0, OLD), True),
        (started_anew(BEFORE), UP, True),
        (woken(BEFORE), UP, False),
        (BEFORE, with_details(0, OLD), False),
        (BEFORE, with_details(0, OLD | NEW), False),
        (BEFORE, with_details(0, NONE), False),
        (BEFORE, with_details(0, NEW), True),
        (BEFORE, with_details(0, None), False),
        (BEFORE, with_details(None, None), True),
        (UNREADABLE, with_details(0, NEW), True),
        (known(UNREADABLE, reloads=0), with_details(0, NEW), False),
    ],
)
def test_new_code_runs_once_all_old_workers_are_replaced_or_nothing_can_be_read(
    before: Progress, there: Vassal, *, expected: bool
) -> None:
    assert evidence.runs_new_code(before, there) is expected


@pytest.mark.parametrize(
    ("before", "there", "expected"),
    [
        (BEFORE, UP, False),
        (BEFORE, with_details(0, None), False),
        (BEFORE, with_details(1, None), True),
        (BEFORE, with_details(None, None), False),
        (UNREADABLE, with_details(1, None), False),
    ],
)
def test_a_master_has_reexecuted_when_its_count_of_reloads_has_grown(
    before: Progress, there: Vassal, *, expected: bool
) -> None:
    assert evidence.has_reexecuted(before.before, there) is expected


@pytest.mark.parametrize(
    ("before", "there", "expected"),
    [
        (BEFORE, with_details(1, OLD), False),
        (BEFORE, with_details(1, NONE), False),
        (BEFORE, with_details(1, OLD | NEW), True),
        (BEFORE, with_details(1, None), True),
        (BEFORE, UP, True),
        (UNREADABLE, with_details(1, NEW), True),
        (started_anew(BEFORE), with_details(1, NONE), True),
    ],
)
def test_workers_are_new_when_one_was_not_there_before_or_nothing_can_be_read(
    before: Progress, there: Vassal, *, expected: bool
) -> None:
    assert evidence.has_new_workers(before, there) is expected


@pytest.mark.parametrize(
    ("before", "there", "expected"),
    [
        (BEFORE, with_details(0, NONE), True),
        (BEFORE, with_details(0, NEW), True),
        (BEFORE, with_details(0, OLD), False),
        (BEFORE, with_details(1, NONE), False),
        (BEFORE, with_details(0, None), False),
        (BEFORE, UP, False),
        (UNREADABLE, with_details(None, NONE), False),
        (started_anew(BEFORE), with_details(0, NONE), False),
    ],
)
def test_workers_are_gone_when_none_is_left_before_the_master_reexecutes_itself(
    before: Progress, there: Vassal, *, expected: bool
) -> None:
    assert evidence.workers_gone(before, there) is expected


def test_a_drain_is_over_when_no_listening_router_has_a_request_in_flight() -> None:
    here, there = a_node(router="east", ref=1), a_node(router="west", ref=0)
    drain = unsubscribed(a_progress("a"), here, there).drain
    busy = replace(UP, nodes=(here, there))
    none = frozenset[str]()
    assert not evidence.is_drained(drain, busy, none)
    assert evidence.is_drained(drain, busy, frozenset({"east"}))
    assert evidence.is_drained(drain, replace(UP, nodes=(replace(here, ref=0), there)), none)
    assert evidence.is_drained(drain, replace(UP, nodes=(replace(here, address="/other"),)), none), "another's request"


def test_only_unsubscribed_nodes_at_listening_routers_count_as_still_routed() -> None:
    here, there, kept = (a_node(router=router) for router in ("east", "west", "north"))
    drain = unsubscribed(a_progress("a"), here, there).drain
    vassal = replace(UP, nodes=(here, there, kept))
    seen = a_snapshot(vassal)
    assert evidence.still_routed(drain, vassal, seen, frozenset()) == (here, there)
    assert evidence.still_routed(drain, vassal, seen, frozenset({"east"})) == (there,)
    gone = replace(UP, nodes=(replace(here, death_mark=True),))
    assert evidence.still_routed(drain, gone, a_snapshot(gone), frozenset()) == ()


def test_only_nodes_without_traffic_are_announced_again() -> None:
    vassal = a_subscribed_vassal("a")
    lost = a_node(key="other")
    drain = known(a_progress("a"), nodes=(*vassal.nodes, lost)).drain
    assert evidence.unrouted(drain, vassal, a_snapshot(vassal)) == (lost,)
