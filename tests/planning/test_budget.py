"""Who has room at one look, and whom the minimum needs again. Single counts, where a whole roll would hide one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import (
    APP,
    a_node,
    a_progress,
    a_roll,
    a_snapshot,
    a_subscribed_vassal,
    a_vassal,
    known,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning.budget import Budget, Candidate, is_down, members, needed, spare
from uwsgi_reload_hook.planning.roll import Phase, Progress, Roll, SendProbe, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.snapshot import Blacklisting, Node, ProbeResult, Snapshot, Vassal

OTHER, BOTH = frozenset({"other"}), frozenset({"app", "other"})
NODE = a_node()
UP = a_vassal("")


def drained(id_: str, *nodes: Node, pid: int | None = 7, kept: bool = False) -> Progress:
    """One that had these nodes when it was taken; `kept`: it was not unsubscribed."""
    taken = known(a_progress(id_, Phase.DRAINING, keys=APP), pid, nodes=nodes)
    return taken if kept else unsubscribed(taken, NODE)


def needs(minimum: dict[str, int], there: Vassal = UP, a: Progress | None = None) -> str:
    """Of `a` and `b`, both drained, while `c` serves `app`, and `b` and `c` are as usual."""
    a, b = a or drained("a", NODE), drained("b", NODE)
    seen = a_snapshot(replace(there, id="a"), a_vassal("b"), a_subscribed_vassal("c"))
    return "".join(sorted(needed([a, b], seen, a_roll(a, b, a_progress("c"), minimum=minimum))))


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [({"app": 0}, ""), ({"app": 1}, ""), ({"app": 2}, "b"), ({"app": 3}, "ab"), ({"app": 9}, "ab"), ({"other": 2}, "")],
)
def test_as_many_are_recalled_as_the_minimum_lacks_last_taken_first(minimum: dict[str, int], expected: str) -> None:
    assert needs(minimum) == expected


def test_a_vassal_that_would_not_serve_is_not_recalled() -> None:
    assert needs({"app": 3}, there=replace(UP, accepting=False)) == "b", "it has died meanwhile"
    assert needs({"app": 3}, a=drained("a", NODE, pid=None)) == "b", "it did not serve when it was taken"


def test_a_vassal_that_kept_its_traffic_is_recalled_too() -> None:
    assert needs({"app": 3}, a=drained("a", NODE, kept=True)) == "ab"


def test_any_key_below_its_minimum_recalls_a_vassal() -> None:
    both = drained("a", NODE, a_node(key="other"))
    assert needs({"app": 2, "other": 1}, a=both) == "ab"
    assert needs({"app": 1, "other": 1}, a=both) == "a"


def rolling(*progresses: Progress, minimum: dict[str, int] | None = None) -> Roll:
    return a_roll(*(one._replace(id=str(number)) for number, one in enumerate(progresses)), minimum=minimum or {})


def room(roll: Roll, *, canary: int, parallel: int = 0, better_canary: bool = False) -> Budget:
    """With all vassals of the roll serving what their progress says."""
    given = settings(canary=canary, maximum_parallel=parallel)
    return Budget(Context(serving(roll), given, 0.0), roll, better_canary=better_canary)


def serving(roll: Roll) -> Snapshot:
    return a_snapshot(*(a_subscribed_vassal(id_, *sorted(one.keys)) for id_, one in roll.vassals.items()))


def kind(keys: frozenset[str] = APP, *, down: bool = False) -> Candidate:
    return Candidate(frozenset() if down else keys, keys, down, settling=False)


def taken(free: Budget, one: Candidate, most: int = 9) -> int:
    """How many of a kind have room, one after another."""
    nobody = a_snapshot(a_vassal("new"))
    count = 0
    while count < most and free.allows(one):
        free.take("new", one, nobody)
        count += 1
    return count


@pytest.mark.parametrize(("limit", "expected"), [(0, 9), (2, 0), (3, 0), (4, 1), (5, 2)])
def test_the_window_counts_whoever_is_in_flight_and_whoever_is_taken(limit: int, expected: int) -> None:
    flying = [a_progress("", phase, keys=APP) for phase in (Phase.DRAINING, Phase.RESTARTING, Phase.WARMING)]
    free = room(rolling(*flying, a_progress("", Phase.DONE, keys=APP)), parallel=limit, canary=0)
    assert taken(free, kind(down=True)) == expected


@pytest.mark.parametrize(("size", "expected"), [(0, 9), (1, 0), (2, 0), (3, 1), (4, 2)])
def test_the_first_wave_counts_whoever_has_begun_in_whichever_phase(size: int, expected: int) -> None:
    begun = [a_progress("", Phase.DRAINING, keys=APP), a_progress("", Phase.WARMING, keys=APP)]
    assert taken(room(rolling(*begun), canary=size), kind(down=True)) == expected


def test_the_first_wave_is_over_when_as_many_are_done_whatever_their_keys() -> None:
    done = [a_progress("", Phase.DONE, keys=keys) for keys in (APP, APP, BOTH)]
    assert taken(room(rolling(*done), canary=3), kind(down=True)) == 9
    assert taken(room(rolling(*done[1:]), canary=3), kind(down=True)) == 1, "the third of the first wave"
    alone = [a_progress("", Phase.DONE, keys=keys) for keys in (APP, OTHER)]
    without_keys = kind(frozenset(), down=True)
    assert taken(room(rolling(*alone), canary=2), without_keys) == 9


def test_a_better_canary_is_waited_for_until_the_first_wave_is_over() -> None:
    done = a_progress("", Phase.DONE, keys=APP)
    assert taken(room(rolling(done, done), canary=2, better_canary=True), kind(APP)) == 2
    assert taken(room(rolling(done), canary=2, better_canary=True), kind(APP)) == 0
    assert taken(room(rolling(done), canary=2, better_canary=True), kind(APP, down=True)) == 1


def test_a_vassal_that_is_alone_under_a_key_keeps_the_traffic_of_that_key() -> None:
    roll = rolling(a_progress("", keys=BOTH), a_progress("", keys=APP), minimum={"app": 0, "other": 0})
    seen = serving(roll)
    free = Budget(Context(seen, settings(canary=0), 0.0), roll, better_canary=False)
    assert [node.key for node in free.take("0", kind(BOTH), seen)] == ["app"]
    assert free.take("1", kind(APP), seen) == ()


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (UP, False),
        (replace(UP, present=False), True),
        (replace(UP, cursed=True), True),
        (replace(UP, blacklisted=Blacklisting(1, 0)), True),
    ],
)
def test_down_is_missing_cursed_or_blacklisted(there: Vassal, *, expected: bool) -> None:
    assert is_down(there) is expected


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.PENDING, {"app": 1}),
        (Phase.WARMING, {"app": 1}),
        (Phase.DONE, {"app": 1, "other": 1}),
        (Phase.FAILED, {"app": 1, "other": 1}),
        (Phase.WITHDRAWN, {}),
    ],
)
def test_a_vassal_whose_part_is_over_counts_under_the_key_it_has_now_as_well(
    phase: Phase, expected: dict[str, int]
) -> None:
    roll = rolling(a_progress("", phase, keys=APP))
    assert members(a_snapshot(a_subscribed_vassal("0", "other")), roll) == expected


def judged(id_: str, phase: Phase = Phase.FAILED, reason: str = "bad") -> Transition:
    out = Unsubscribe(id_, (NODE,))
    return a_progress(id_, phase, keys=APP, reason=reason), (out, Suspend(id_, 7)) if phase is Phase.FAILED else (out,)


def spared(minimum: int, *moves: Transition) -> list[Transition]:
    """`a`, `b` and `c` serve; `d` has been unsubscribed."""
    seen = a_snapshot(*map(a_subscribed_vassal, "abc"), a_vassal("d", probe=ProbeResult(False, "no")))
    roll = rolling(a_progress(""), minimum={"app": minimum})
    return [*spare(moves, seen, roll)]


def test_as_many_lose_their_traffic_as_the_minimum_leaves() -> None:
    moves = [judged("a"), judged("d"), judged("b")]
    kept = (moves[2][0]._replace(reason="bad; it keeps its traffic, as the minimum of app needs it"), ())
    assert spared(0, *moves) == moves
    assert spared(1, *moves) == moves
    assert spared(2, *moves) == [*moves[:2], kept]


def test_probes_and_restarting_vassals_are_not_held_back_by_the_minimum() -> None:
    asked: Transition = (a_progress("b", Phase.WARMING, keys=APP), (SendProbe("b", (NODE,)),))
    leaves: Transition = (a_progress("c", Phase.RESTARTING, keys=APP), (Unsubscribe("c", (NODE,)),))
    unanswered = judged("a", Phase.WARMING, "accepts requests")
    assert spared(3, asked, leaves, unanswered) == [asked, leaves, (unanswered[0], ())]
    assert spared(2, unanswered) == [unanswered]
