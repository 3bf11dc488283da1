"""Who may be taken at one look, recalled, or evicted: single counts, where a whole roll would hide one."""

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
    failed_probe,
    known,
    unanswered,
    unsubscribed,
)
from tests.support.rolling import settings
from uwsgi_reload_hook.planning.actions import Action, Subscribe, Suspend, Unsubscribe
from uwsgi_reload_hook.planning.budget import Budget, leaves_enough
from uwsgi_reload_hook.planning.candidates import Candidate
from uwsgi_reload_hook.planning.counts import accepting_by_key, is_down, members_by_key
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll, Stage
from uwsgi_reload_hook.planning.schedule import evict, schedule
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import Blacklisting, Node, ProcessFacts, Snapshot, Vassal

NOW = 50.0
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
    budget = Budget(a_roll(a, b, a_progress("c"), minimum=minimum), Context(seen, settings(), 0.0))
    return "".join(sorted(one.id for one in budget.to_recall([a, b])))


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


def test_recalled_vassals_count_by_the_emperors_word_where_it_let_them_be_taken() -> None:
    """No router lists `a` and `b`: `c` alone accepts, and with one more recalled the minimum is kept."""
    a, b = (drained(id_, NODE)._replace(unseen_since=1.0) for id_ in "ab")
    seen = a_snapshot(a_vassal("a"), a_vassal("b"), a_vassal("c"))
    for minimum, expected in ((1, []), (2, [b]), (3, [b, a])):
        roll = a_roll(a, b, a_progress("c", keys=APP), minimum={"app": minimum})
        assert Budget(roll, Context(seen, settings(), 0.0)).to_recall([a, b]) == expected


def unlisted(*, overdue: bool, minimum: int) -> int:
    """How many of three are taken that accept, and that no router lists."""
    vassals = [a_vassal(id_) for id_ in ("0", "1", "new")]
    roll = a_roll(*(a_progress(one.id, keys=APP, unseen_since=0.0) for one in vassals), minimum={"app": minimum})
    free = Budget(roll, Context(a_snapshot(*vassals), settings(canary=0), 0.0))
    return taken(free, Candidate(frozenset(), APP, unlisted=APP, overdue=overdue), most=3)


@pytest.mark.parametrize(("minimum", "expected"), [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_overdue_vassals_are_taken_while_enough_others_accept(minimum: int, expected: int) -> None:
    assert unlisted(overdue=True, minimum=minimum) == expected
    assert unlisted(overdue=False, minimum=minimum) == (3 if minimum == 0 else 0)


def test_what_was_taken_under_another_key_leaves_the_accepting_ones() -> None:
    vassals = [a_vassal(id_) for id_ in ("0", "1")]
    roll = a_roll(*(a_progress(one.id, keys=APP, unseen_since=0.0) for one in vassals), minimum={"app": 1})
    free = Budget(roll, Context(a_snapshot(*vassals, a_vassal("new")), settings(canary=0), 0.0))
    free.take(candidate(OTHER, down=True), ())
    assert free.refusal(Candidate(frozenset(), APP, unlisted=APP, overdue=True)) == ""


def test_a_vassal_of_unknown_keys_waits_for_another_such_and_for_no_other() -> None:
    one = Candidate(frozenset(), frozenset(), unknown=True, overdue=True)
    silent = a_progress("", Phase.RESTARTING)
    assert budget(rolling(silent), canary=0).refusal(one) == ""
    assert (
        budget(rolling(silent._replace(unseen_since=1.0)), canary=0).refusal(one).startswith("its keys are not known")
    )
    assert budget(rolling(silent._replace(unseen_since=1.0, keys=APP)), canary=0).refusal(candidate(down=True)) == ""


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, 1),
        ({"accepting": False}, 0),
        ({"present": False}, 0),
        ({"config_exists": False}, 0),
        ({"cursed": True}, 0),
    ],
)
def test_a_vassal_accepts_while_the_emperor_runs_and_keeps_it(there: dict[str, object], expected: int) -> None:
    seen = a_snapshot(a_vassal("a", **there))  # type: ignore[arg-type]
    assert accepting_by_key(seen, a_roll(a_progress("a", keys=APP)))["app"] == expected
    assert accepting_by_key(seen, a_roll(a_progress("a", Phase.WARMING, keys=APP)))["app"] == 0
    assert accepting_by_key(seen, a_roll(excluded_keys={"a": APP}))["app"] == expected


def rolling(*progresses: Progress, minimum: dict[str, int] | None = None) -> Roll:
    return a_roll(*(one._replace(id=str(number)) for number, one in enumerate(progresses)), minimum=minimum or {})


def budget(roll: Roll, *, canary: int, parallel: int = 0, better_canary: bool = False) -> Budget:
    """With all vassals of the roll serving what their progress says."""
    given = settings(canary=canary, maximum_parallel=parallel)
    settling = Candidate(frozenset(), APP, down=True, settling=True)
    return Budget(roll, Context(serving(roll), given, 0.0), [settling] if better_canary else [])


def serving(roll: Roll) -> Snapshot:
    """All of them serve what their progress says; a new one serves nothing yet."""
    serve = (a_subscribed_vassal(id_, *sorted(one.keys)) for id_, one in roll.vassals.items())
    return a_snapshot(*serve, a_vassal("new", accepting=False))


def candidate(keys: frozenset[str] = APP, *, down: bool = False) -> Candidate:
    return Candidate(frozenset() if down else keys, keys, down)


def taken(free: Budget, one: Candidate, most: int = 9) -> int:
    """How many that are alike can be taken, one after another."""
    count = 0
    while count < most and not free.refusal(one):
        free.take(one, ())
        count += 1
    return count


@pytest.mark.parametrize(("limit", "expected"), [(0, 9), (2, 0), (3, 0), (4, 1), (5, 2)])
def test_the_window_counts_whoever_is_out_and_whoever_is_taken(limit: int, expected: int) -> None:
    flying = [a_progress("", phase, keys=APP) for phase in (Phase.DRAINING, Phase.RESTARTING, Phase.WARMING)]
    free = budget(rolling(*flying, a_progress("", Phase.DONE, keys=APP)), parallel=limit, canary=0)
    assert taken(free, candidate(down=True)) == expected


@pytest.mark.parametrize(("size", "expected"), [(0, 9), (1, 0), (2, 0), (3, 1), (4, 2)])
def test_the_first_wave_counts_whoever_has_begun_in_whichever_phase(size: int, expected: int) -> None:
    begun = [a_progress("", Phase.DRAINING, keys=APP), a_progress("", Phase.WARMING, keys=APP)]
    assert taken(budget(rolling(*begun), canary=size), candidate(down=True)) == expected


def test_the_first_wave_is_over_when_as_many_are_done_whatever_their_keys() -> None:
    done = [a_progress("", Phase.DONE, keys=keys) for keys in (APP, APP, BOTH)]
    assert taken(budget(rolling(*done), canary=3), candidate(down=True)) == 9
    assert taken(budget(rolling(*done[1:]), canary=3), candidate(down=True)) == 1, "the third of the first wave"
    alone = [a_progress("", Phase.DONE, keys=keys) for keys in (APP, OTHER)]
    without_keys = candidate(frozenset(), down=True)
    assert taken(budget(rolling(*alone), canary=2), without_keys) == 9


def test_a_better_canary_is_waited_for_until_the_first_wave_is_over() -> None:
    done = a_progress("", Phase.DONE, keys=APP)
    assert taken(budget(rolling(done, done), canary=2, better_canary=True), candidate(APP)) == 2
    assert taken(budget(rolling(done), canary=2, better_canary=True), candidate(APP)) == 0
    assert taken(budget(rolling(done), canary=2, better_canary=True), candidate(APP, down=True)) == 1


def test_a_vassal_that_is_alone_under_a_key_keeps_the_traffic_of_that_key() -> None:
    roll = rolling(a_progress("", keys=BOTH), a_progress("", keys=APP), minimum={"app": 0, "other": 0})
    free, seen = budget(roll, canary=0), serving(roll).live
    assert [node.key for node in free.take(candidate(BOTH), seen["0"])] == ["app"]
    assert free.take(candidate(APP), seen["1"]) == ()


def test_a_vassal_that_serves_nothing_is_unsubscribed_though_no_other_one_serves() -> None:
    dead = a_subscribed_vassal("a", cursed=True)
    free = Budget(a_roll(a_progress("a", keys=APP)), Context(a_snapshot(dead), settings(), 0.0))
    assert free.take(candidate(down=True), dead.nodes) == dead.nodes


def test_short_keys_are_named_in_order() -> None:
    short = budget(rolling(a_progress("", keys=BOTH), minimum={"app": 1, "other": 1}), canary=0)
    assert short.short_keys(["other", "app"]) == ["app", "other"]


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
    assert members_by_key(a_snapshot(a_subscribed_vassal("0", "other")), roll) == expected


@pytest.mark.parametrize(("there", "expected"), [({}, {"app": 2}), ({"config_exists": False}, {"app": 1})])
def test_a_vassal_left_alone_is_a_member_until_its_config_is_removed(
    there: dict[str, object], expected: dict[str, int]
) -> None:
    roll = a_roll(a_progress("a", keys=APP), excluded_keys={"x": APP})
    assert members_by_key(a_snapshot(a_subscribed_vassal("a"), a_subscribed_vassal("x", **there)), roll) == expected


@pytest.mark.parametrize(("serving", "minimum", "expected"), [(1, 0, True), (1, 1, False), (3, 2, True), (2, 2, False)])
def test_the_invariant_leaves_the_minimum_without_the_one_in_question(
    serving: int, minimum: int, *, expected: bool
) -> None:
    assert leaves_enough(serving, minimum) is expected


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Candidate(APP, APP, settling=True), "it is starting by itself"),
        (Candidate(APP, APP, lost=True), "the Emperor runs it, and its config is not found"),
        (Candidate(frozenset(), frozenset(), unknown=True), "its keys are not known"),
        (Candidate(frozenset(), frozenset()), "it has no router, so it follows those that have"),
        (Candidate(APP, APP), "under key app 2 serve, and 2 must"),
        (Candidate(frozenset(), APP, unlisted=OTHER), "under key other 0 serve, and 1 must"),
        (Candidate(frozenset(), OTHER, down=True), ""),
    ],
)
def test_a_refusal_says_in_words_why_a_vassal_has_to_wait(one: Candidate, words: str) -> None:
    pending = [a_progress("", keys=APP), a_progress("", keys=APP)]
    refusal = budget(rolling(*pending, minimum={"app": 2, "other": 1}), canary=0).refusal(one)
    assert refusal.startswith(words)
    assert bool(refusal) is bool(words)


def test_a_refusal_names_the_window_and_the_first_wave() -> None:
    taken = rolling(a_progress("", Phase.DRAINING, keys=APP))
    assert budget(taken, canary=0, parallel=1).refusal(candidate()).startswith("reload-hook-maximum-parallel lets 1")
    first = budget(taken, canary=1).refusal(candidate(down=True))
    assert first == "the first vassals of the roll have to prove the new code"
    other = rolling(a_progress("", Phase.DONE, keys=OTHER), a_progress("", Phase.DRAINING, keys=APP))
    of_app = budget(other, canary=1).refusal(candidate(down=True))
    assert of_app == "the first vassals of key app have to prove the new code"
    better = budget(rolling(a_progress("", keys=APP)), canary=1, better_canary=True).refusal(candidate())
    assert better == "a vassal that is down goes first"
    begun = rolling(a_progress("", Phase.DRAINING, keys=APP), a_progress("", keys=APP))
    assert budget(begun, canary=1, better_canary=True).refusal(candidate()) == better


def evicted(minimum: int, *judged: Progress) -> tuple[Roll, tuple[Action, ...]]:
    """`a`, `b` and `c` serve, whoever of them is judged; `d` has been unsubscribed."""
    seen = a_snapshot(*map(a_subscribed_vassal, "abc"), a_vassal("d"))
    roll = a_roll(*judged, minimum={"app": minimum}, stage=Stage.WINDING_DOWN)
    return evict(roll, Context(seen, settings(), NOW))


def out_of(id_: str) -> Unsubscribe:
    return Unsubscribe(id_, a_subscribed_vassal(id_).nodes)


def test_as_many_are_evicted_as_the_minimum_leaves() -> None:
    bad = [failed_probe(id_, NOW) for id_ in "adb"]
    all_three = (out_of("a"), Suspend("a", 7), Suspend("d", 7), out_of("b"), Suspend("b", 7))
    assert evicted(0, *bad)[1] == all_three
    assert evicted(1, *bad)[1] == all_three
    roll, actions = evicted(2, *bad)
    assert actions == all_three[:3]
    assert [one.reason for one in roll.vassals.values()] == [
        "bad",
        "bad",
        "bad; it keeps its traffic, because the minimum of app needs it",
    ]


def test_a_failed_probe_evicts_once() -> None:
    assert evicted(0, failed_probe("a", NOW - 1)) == (evicted(0, failed_probe("a", NOW - 1))[0], ())


def test_a_vassal_that_failed_before_is_not_counted_as_evicted_again() -> None:
    roll, actions = evicted(2, failed_probe("b", NOW - 1), failed_probe("a", NOW))
    assert actions == (out_of("a"), Suspend("a", 7))
    assert [one.reason for one in roll.vassals.values()] == ["bad", "bad"]
    assert evicted(3, failed_probe("a", NOW - 1))[0].vassals["a"].reason == "bad"


def test_a_recalled_vassal_gets_its_traffic_back_and_nobody_is_taken_meanwhile() -> None:
    ready = a_vassal("a", details=ProcessFacts(touch_path="a"))
    seen = a_snapshot(ready, *map(a_subscribed_vassal, "bc"))
    others = [a_progress(id_, keys=APP, first_pid=7) for id_ in "bc"]
    roll = a_roll(drained("a", NODE)._replace(first_pid=7), *others, minimum={"app": 3}, stage=Stage.ROLLING)
    after, actions = schedule(roll, Context(seen, settings(), NOW))
    assert actions == (Subscribe("a", (NODE,)),)
    assert [one.phase for one in after.vassals.values()] == [Phase.PENDING] * 3
    assert after.vassals["a"].reason.startswith("given its traffic back: another vassal stopped serving")


@pytest.mark.parametrize(("ago", "takes"), [(1.0, False), (12.0, True)])
def test_nobody_is_taken_while_a_restarted_router_lacks_a_vassal(ago: float, *, takes: bool) -> None:
    seen = a_snapshot(a_vassal("a"), *map(a_subscribed_vassal, "bc"))
    pending = [a_progress(id_, keys=APP, first_pid=7) for id_ in "abc"]
    routers = {"app": frozenset({"router"})}
    roll = a_roll(*pending, minimum={"app": 0}, forgot={"router": NOW - ago}, key_routers=routers)
    assert bool(schedule(roll, Context(seen, settings(canary=0), NOW))[1]) is takes


def test_a_vassal_with_an_unanswered_first_probe_is_kept_out_if_the_minimum_allows() -> None:
    assert evicted(2, unanswered("a"))[1] == (out_of("a"),)
    roll, actions = evicted(3, unanswered("a"))
    assert (roll.vassals["a"], actions) == (unanswered("a"), ())


def test_an_eviction_of_a_vassal_that_is_out_costs_the_minimum_nothing() -> None:
    assert evicted(2, unanswered("a"), failed_probe("b", NOW))[1] == (out_of("a"),)
    assert evicted(1, unanswered("a"), failed_probe("b", NOW))[1] == (out_of("a"), out_of("b"), Suspend("b", 7))


def test_only_what_is_judged_is_evicted() -> None:
    leaves = a_progress("c", Phase.RESTARTING, keys=APP)
    admitted = a_progress("b", Phase.WARMING, keys=APP)
    assert evicted(0, leaves, admitted)[1] == ()
