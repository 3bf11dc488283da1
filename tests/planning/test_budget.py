"""Who has room at one look, and whom the minimum needs again. Single counts, where a whole roll would hide one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.rolling import settings
from uwsgi_reload_hook.planning.budget import Budget, Candidate, is_down, members, needed, spare
from uwsgi_reload_hook.planning.roll import Phase, Progress, Request, Roll, SendProbe, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.snapshot import Blacklisting, Node, ProbeResult, Snapshot, Vassal

APP, OTHER, BOTH = frozenset({"app"}), frozenset({"other"}), frozenset({"app", "other"})
NODE = Node("router", "app", "/run/a.sock", last_check=1000)
DRAINED = Progress("", Phase.DRAINING, keys=APP, pid=7, nodes=(NODE,), drained=(NODE,))
UP = Vassal("", pid=7, accepting=True)


def needs(minimum: dict[str, int], there: Vassal = UP, drained: Progress = DRAINED) -> str:
    """Of `a` and `b`, both drained, while `c` serves `app`, and `b` and `c` are as usual."""
    a, b = drained._replace(id="a"), DRAINED._replace(id="b")
    seen = {"a": replace(there, id="a"), "b": replace(UP, id="b"), "c": replace(UP, id="c", nodes=(NODE,))}
    roll = Roll("1", Request(1), 0.0, 0.0, {"a": a, "b": b, "c": Progress("c")}, minimum=minimum)
    return "".join(sorted(needed([a, b], Snapshot(1000.0, seen), roll)))


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [({"app": 0}, ""), ({"app": 1}, ""), ({"app": 2}, "b"), ({"app": 3}, "ab"), ({"app": 9}, "ab"), ({"other": 2}, "")],
)
def test_as_many_are_needed_as_the_minimum_lacks_and_the_last_first(minimum: dict[str, int], expected: str) -> None:
    assert needs(minimum) == expected


def test_one_that_is_of_no_use_is_not_needed() -> None:
    assert needs({"app": 3}, there=replace(UP, accepting=False)) == "b", "it has died meanwhile"
    assert needs({"app": 3}, drained=DRAINED._replace(pid=None)) == "b", "it did not serve when it was taken"


def test_one_that_kept_its_traffic_is_needed_too() -> None:
    assert needs({"app": 3}, drained=DRAINED._replace(drained=())) == "ab"


def test_each_of_its_keys_may_need_it() -> None:
    both = DRAINED._replace(nodes=(NODE, replace(NODE, key="other")))
    assert needs({"app": 2, "other": 1}, drained=both) == "ab"
    assert needs({"app": 1, "other": 1}, drained=both) == "a"


def rolling(*progresses: Progress, minimum: dict[str, int] | None = None) -> Roll:
    named = {str(number): one._replace(id=str(number)) for number, one in enumerate(progresses)}
    return Roll("1", Request(1), 0.0, 0.0, named, minimum=minimum or {})


def room(roll: Roll, *, canary: int, parallel: int = 0, better_canary: bool = False) -> Budget:
    """With all vassals of the roll serving what their progress says."""
    seen = {id_: serving(id_, one.keys) for id_, one in roll.vassals.items()}
    given = settings(canary=canary, maximum_parallel=parallel)
    return Budget(Context(Snapshot(1000.0, seen), given, 0.0), roll, better_canary=better_canary)


def serving(id_: str, keys: frozenset[str]) -> Vassal:
    return replace(UP, id=id_, nodes=tuple(replace(NODE, key=key) for key in sorted(keys)))


def kind(keys: frozenset[str] = APP, *, down: bool = False) -> Candidate:
    return Candidate(frozenset() if down else keys, keys, down, settling=False)


def taken(free: Budget, one: Candidate, most: int = 9) -> int:
    """How many of a kind have room, one after another."""
    nobody = Snapshot(1000.0, {"new": replace(UP, id="new")})
    count = 0
    while count < most and free.allows(one):
        free.take("new", one, nobody)
        count += 1
    return count


@pytest.mark.parametrize(("limit", "expected"), [(0, 9), (2, 0), (3, 0), (4, 1), (5, 2)])
def test_the_window_counts_whoever_is_in_flight_and_whoever_is_taken(limit: int, expected: int) -> None:
    flying = [Progress("", phase, keys=APP) for phase in (Phase.DRAINING, Phase.RESTARTING, Phase.WARMING)]
    free = room(rolling(*flying, Progress("", Phase.DONE, keys=APP)), parallel=limit, canary=0)
    assert taken(free, kind(down=True)) == expected


@pytest.mark.parametrize(("size", "expected"), [(0, 9), (1, 0), (2, 0), (3, 1), (4, 2)])
def test_the_first_wave_counts_whoever_has_begun_in_whichever_phase(size: int, expected: int) -> None:
    begun = [Progress("", Phase.DRAINING, keys=APP), Progress("", Phase.WARMING, keys=APP)]
    assert taken(room(rolling(*begun), canary=size), kind(down=True)) == expected


def test_the_first_wave_is_over_when_as_many_are_done_whatever_their_keys() -> None:
    done = [Progress("", Phase.DONE, keys=keys) for keys in (APP, APP, BOTH)]
    assert taken(room(rolling(*done), canary=3), kind(down=True)) == 9
    assert taken(room(rolling(*done[1:]), canary=3), kind(down=True)) == 1, "the third of the first wave"
    alone = [Progress("", Phase.DONE, keys=keys) for keys in (APP, OTHER)]
    without_keys = kind(frozenset(), down=True)
    assert taken(room(rolling(*alone), canary=2), without_keys) == 9


def test_a_better_canary_is_waited_for_until_the_first_wave_is_over() -> None:
    done = Progress("", Phase.DONE, keys=APP)
    assert taken(room(rolling(done, done), canary=2, better_canary=True), kind(APP)) == 2
    assert taken(room(rolling(done), canary=2, better_canary=True), kind(APP)) == 0
    assert taken(room(rolling(done), canary=2, better_canary=True), kind(APP, down=True)) == 1


def test_what_is_alone_under_one_of_its_keys_keeps_that_ones_traffic() -> None:
    roll = rolling(Progress("", keys=BOTH), Progress("", keys=APP), minimum={"app": 0, "other": 0})
    seen = Snapshot(1000.0, {id_: serving(id_, one.keys) for id_, one in roll.vassals.items()})
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
    roll = rolling(Progress("", phase, keys=APP))
    assert members(Snapshot(1000.0, {"0": serving("0", OTHER)}), roll) == expected


def judged(id_: str, phase: Phase = Phase.FAILED, reason: str = "bad") -> Transition:
    out = Unsubscribe(id_, (NODE,))
    return Progress(id_, phase, keys=APP, reason=reason), (out, Suspend(id_, 7)) if phase is Phase.FAILED else (out,)


def spared(minimum: int, *moves: Transition) -> list[Transition]:
    """`a`, `b` and `c` serve; `d` has been unsubscribed."""
    seen = {id_: serving(id_, APP) for id_ in "abc"} | {"d": replace(UP, id="d", probe=ProbeResult(False, "no"))}
    roll = rolling(Progress(""), minimum={"app": minimum})
    return [*spare(moves, Snapshot(1000.0, seen), roll)]


def test_as_many_lose_their_traffic_as_the_minimum_leaves() -> None:
    moves = [judged("a"), judged("d"), judged("b")]
    kept = (moves[2][0]._replace(reason="bad; it keeps its traffic, as the minimum of app needs it"), ())
    assert spared(0, *moves) == moves
    assert spared(1, *moves) == moves
    assert spared(2, *moves) == [*moves[:2], kept]


def test_only_what_is_judged_is_spared() -> None:
    asked: Transition = (Progress("b", Phase.WARMING, keys=APP), (SendProbe("b", (NODE,)),))
    leaves: Transition = (Progress("c", Phase.RESTARTING, keys=APP), (Unsubscribe("c", (NODE,)),))
    unanswered = judged("a", Phase.WARMING, "accepts requests")
    assert spared(3, asked, leaves, unanswered) == [asked, leaves, (unanswered[0], ())]
    assert spared(2, unanswered) == [unanswered]
