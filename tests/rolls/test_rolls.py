"""Stories: one simulated roll each, from the touch of the trigger to its result."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from tests.support.rolling import Shelf, Touches, WatchedSite, a_site, recorder, run, settings
from tests.support.simulator import Clock, FakeVassal
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.planning.actions import (
    ClearBlacklist,
    Look,
    SendProbe,
    Subscribe,
    Suspend,
    Touch,
    Unsubscribe,
    WakeMaster,
)
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.settings import Minimum
from uwsgi_reload_hook.snapshot import Snapshot

WAVE = 2.0
"""The application's load time."""
OVERHEAD = 0.15
"""What a wave may take longer: a few looks."""


@pytest.mark.parametrize("canary", [0, 1, 2])
@pytest.mark.parametrize(("count", "minimum"), [(2, 1), (8, 1), (8, 4), (8, 7), (5, 0)])
def test_a_good_deploy_reloads_everybody_in_as_few_waves_as_the_minimum_allows(
    count: int, minimum: int, canary: int
) -> None:
    first = min(canary, count - minimum)
    waves = (1 if canary else 0) + math.ceil((count - first) / (count - minimum))
    for canary_time in (0.0, 2.0):
        given = settings(minimum_active_vassals=Minimum(minimum), canary=canary, canary_time=canary_time)
        outcome = run(a_site(count, minimum), given)
        assert outcome.result == "done"
        assert set(outcome.phases().values()) == {"done"}
        assert sorted(outcome.touched()) == sorted(outcome.site.vassals)
        assert outcome.seconds < waves * (WAVE + OVERHEAD) + (canary_time if canary else 0.0)


def test_a_master_that_cannot_be_nudged_costs_its_own_second_a_wave() -> None:
    made = a_site(2)
    for vassal in made.vassals.values():
        vassal.has_fifo = False
    outcome = run(made, settings(canary_time=0.0))
    assert outcome.result == "done"
    assert 2 * (WAVE + 1.0) < outcome.seconds < 2 * (WAVE + 1.0 + OVERHEAD)


def test_a_percentage_is_rounded_up() -> None:
    outcome = run(a_site(5, 3), settings(minimum_active_vassals=Minimum(50, percent=True)))
    assert outcome.result == "done"
    assert outcome.roll["minimum"] == {"app": 3}


def test_a_vassal_is_drained_before_it_is_touched() -> None:
    made = a_site(3, v1={"busy_until": 5.0})
    outcome = run(made, settings())
    touched = {action.vassal: when for when, action in made.performed if isinstance(action, Touch)}
    assert outcome.result == "done"
    assert touched["v1.ini"] >= 5.0


def test_a_drain_that_does_not_end_is_over_at_its_timeout() -> None:
    made = a_site(3, v1={"busy_until": 500.0})
    outcome = run(made, settings(drain_timeout=4.0, timeout=20.0))
    touched = {action.vassal: when for when, action in made.performed if isinstance(action, Touch)}
    assert 4.0 <= touched["v1.ini"] < 4.2
    assert outcome.result == "failed"
    assert "timeout of 20 s" in str(outcome.roll["reason"])


def test_a_vassal_that_announces_itself_during_its_drain_is_unsubscribed_again() -> None:
    made = a_site(3, v1={"busy_until": 3.0, "announces_in_drain": True})
    outcome = run(made, settings())
    unsubscribed = [action for _, action in made.performed if isinstance(action, Unsubscribe)]
    assert outcome.result == "done"
    assert sum(action.vassal == "v1.ini" for action in unsubscribed) == 2


def test_a_broken_deploy_stops_at_the_canary() -> None:
    made = a_site(8)
    for vassal in made.vassals.values():
        vassal.broken = True
    outcome = run(made, settings())
    assert outcome.result == "failed"
    assert outcome.touched() == ["v1.ini"]
    assert outcome.phases() == {id_: "failed" if id_ == "v1.ini" else "pending" for id_ in made.vassals}
    assert str(outcome.roll["reason"]).startswith("v1.ini: ")
    assert outcome.shelf.statuses[-1]["state"] == "held"
    assert made.serving("app") == 7


def test_after_a_broken_deploy_the_lost_vassal_is_tried_first_and_at_once() -> None:
    made = a_site(4)
    for vassal in made.vassals.values():
        vassal.broken = True
    broken = run(made, settings(), known_keys=None)
    for vassal in made.vassals.values():
        vassal.broken = False
    made.pass_time(30.0)
    made.performed.clear()
    journal = broken.shelf.journal
    assert journal is not None
    began = made.now
    outcome = run(made, settings(canary_time=0.0), known_keys=journal.keys)
    assert outcome.result == "done"
    # the Emperor has started it by itself meanwhile, or is made to start it before anybody else is touched
    assert "v1.ini" not in outcome.touched()[1:]
    assert outcome.seconds < 2 * (WAVE + 0.5), began


def test_a_vassal_in_the_blacklist_is_started_by_clearing_it() -> None:
    made = a_site(3)
    down = made.vassals["v2.ini"]
    down.broken = True
    made.die(down)
    made.pass_time(60.0)
    down.throttled_until = made.now + 180
    while down.present:
        made.pass_time(0.05)
    down.broken = False
    down.throttled_until = made.now + 180
    outcome = run(made, settings(), known_keys={"v2.ini": frozenset({"app"})})
    asked, first = (action for _, action in made.performed[:2])
    assert isinstance(asked, SendProbe)
    assert asked.vassal != "v2.ini", "the old code of one that serves, because no roll has asked it before"
    assert isinstance(first, ClearBlacklist)
    assert outcome.result == "done"
    assert outcome.touched() == ["v1.ini", "v3.ini"]


def test_a_vassal_that_accepts_but_is_not_subscribed_again_fails_with_the_key_named() -> None:
    outcome = run(a_site(3, v1={"deaf_router": True}), settings(timeout=10.0))
    assert outcome.result == "failed"
    assert "not subscribed again under app" in str(outcome.roll["reason"])


def test_a_touch_that_the_emperor_does_not_notice_gives_the_traffic_back() -> None:
    made = a_site(3, v1={"touch_unnoticed": True})
    outcome = run(made, settings())
    assert outcome.result == "failed"
    assert "did not notice the touch" in str(outcome.roll["reason"])
    assert made.serving("app") == 3


def test_a_touch_that_the_system_refuses_gives_the_traffic_back() -> None:
    made = a_site(3, v1={"touch_refused": True})
    outcome = run(made, settings())
    assert outcome.result == "failed"
    assert "v1.ini: its config cannot be touched" in str(outcome.roll["reason"])
    assert made.serving("app") == 3


@pytest.mark.parametrize(("count", "minimum"), [(1, 1), (4, 4), (4, 9)])
def test_a_minimum_that_cannot_be_kept_is_refused_and_nothing_is_touched(count: int, minimum: int) -> None:
    outcome = run(a_site(count, minimum), settings(minimum_active_vassals=Minimum(minimum)))
    assert outcome.result == "refused"
    assert not outcome.site.performed
    assert "minimum-active-vassals" in str(outcome.roll["reason"])


def test_a_vassal_whose_config_is_gone_before_the_touch_is_no_member_of_its_key() -> None:
    outcome = run(a_site(2, 1, v2={"config_exists": False}), settings())
    assert outcome.result == "refused"
    assert "has 1 vassal" in str(outcome.roll["reason"])


def test_a_canary_that_answers_the_probe_with_a_500_fails_and_never_gets_traffic() -> None:
    made = a_site(4)
    for vassal in made.vassals.values():
        vassal.answers = "500 Internal Server Error"
    served_broken: list[str] = []

    def watch() -> None:
        served_broken.extend(id_ for id_, one in made.vassals.items() if one.code_since >= 0 and one.nodes)

    outcome = run(made, settings(probe=Probe("/healthz")), each_step=watch)
    made.pass_time(25.0)
    watch()
    assert outcome.result == "failed"
    assert "500 Internal Server Error" in str(outcome.roll["reason"])
    assert outcome.touched() == ["v1.ini"]
    assert made.serving("app") == 3
    assert not served_broken


def test_a_vassal_that_no_router_knows_is_not_paused_for_its_answers() -> None:
    made = WatchedSite([FakeVassal("alone.ini", keys=(), answers="500 Oops")])
    outcome = run(made, settings(probe=Probe("/")))
    assert outcome.result == "failed"
    assert "500 Oops" in str(outcome.roll["reason"])
    assert not [action for _, action in made.performed if isinstance(action, Suspend)]


@pytest.mark.parametrize("signed", [False, True])
def test_one_that_is_drained_gets_its_traffic_back_when_another_dies(*, signed: bool) -> None:
    made = a_site(5, 3)
    for vassal in made.vassals.values():
        vassal.busy_until, vassal.signed = 3.0, signed
    served: list[int] = []
    made.at(1.0, partial(made.kill, made.vassals["v5.ini"]))
    made.at(1.2, lambda: served.append(made.serving("app")))
    outcome = run(made, settings(minimum_active_vassals=Minimum(3), canary=0))
    assert outcome.result == "done"
    assert served == [4 if signed else 3], "v1 is drained, v5 is starting again"
    assert sorted(outcome.touched()) == ["v1.ini", "v2.ini", "v3.ini", "v4.ini"]


def test_a_recalled_vassal_is_not_drained_again_until_the_minimum_allows_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    made = a_site(3, 2, v1={"busy_until": 3.0})
    made.at(1.0, partial(made.kill, made.vassals["v3.ini"]))
    outcome = run(made, settings(minimum_active_vassals=Minimum(2), canary=0))
    assert outcome.result == "done"
    assert "v1.ini: draining -> pending after " in caplog.text
    assert "another vassal stopped serving, and the minimum needs this one" in caplog.text
    taken = [when for when, one in made.performed if isinstance(one, Unsubscribe) and one.vassal == "v1.ini"]
    assert len(taken) == 2
    assert taken[1] > 1.0 + WAVE, "the one that died is back"


def test_vassals_that_answer_badly_keep_their_traffic_where_the_minimum_needs_it() -> None:
    made = a_site(4, 2)
    bad = [made.vassals[f"v{number}.ini"] for number in (2, 3, 4)]
    for vassal in bad:
        vassal.answers, vassal.load, vassal.announces_after = "500 Oops", 0.2, 0.0
        made.at(0.5, partial(made.kill, vassal))  # while the canary loads; they come back with the new code
    outcome = run(made, settings(probe=Probe("/"), minimum_active_vassals=Minimum(2), check_interval=1.0))
    assert outcome.result == "failed"
    assert [action.vassal for _, action in made.performed if isinstance(action, Suspend)] == ["v2.ini"]
    assert made.serving("app") == 3, "the canary, and the two that could not be spared while it loaded"
    kept = "where it has none; it keeps its traffic, because the minimum of app needs it"
    assert "500 Oops; see its log" in str(outcome.roll["reason"])
    assert kept in str(outcome.roll["reason"])


def test_a_good_answer_to_the_probe_comes_before_the_traffic() -> None:
    made = a_site(3)
    outcome = run(made, settings(probe=Probe("/healthz"), minimum_healthy_time=2.5))
    assert outcome.result == "done"
    for id_ in made.vassals:
        mine = [type(action) for _, action in made.performed if getattr(action, "vassal", "") == id_]
        assert mine[mine.index(Touch) :] == [Touch, WakeMaster, SendProbe, Subscribe, SendProbe, SendProbe]


def test_a_vassal_paused_for_its_answers_comes_back_with_the_next_good_deploy() -> None:
    made = a_site(3, v1={"answers": "500 Oops"})
    run(made, settings(probe=Probe("/")))
    made.vassals["v1.ini"].answers = "200 OK"
    made.pass_time(20.0)
    made.performed.clear()
    outcome = run(made, settings(probe=Probe("/")), known_keys={"v1.ini": frozenset({"app"})})
    assert outcome.result == "done"
    assert outcome.touched()[0] == "v1.ini"
    assert made.serving("app") == 3


def test_a_router_that_takes_no_packets_costs_two_seconds_once_but_not_the_roll() -> None:
    made = a_site(3)
    for vassal in made.vassals.values():
        vassal.signed = True
    outcome = run(made, settings())
    assert outcome.result == "done"
    touched = next(when for when, action in made.performed if isinstance(action, Touch))
    assert 2.0 <= touched < 2.2
    assert {action.vassal for _, action in made.performed if isinstance(action, Unsubscribe)} == {"v1.ini"}


def test_with_minimum_0_a_single_vassal_is_reloaded_and_stays_in_the_router() -> None:
    made = a_site(1, 0)
    outcome = run(made, settings(minimum_active_vassals=Minimum(0)))
    assert outcome.result == "done"
    assert not [action for _, action in made.performed if isinstance(action, Unsubscribe)]


def test_with_minimum_0_the_last_of_a_wave_keeps_its_place_in_the_router() -> None:
    made = a_site(3, 0)
    outcome = run(made, settings(minimum_active_vassals=Minimum(0), canary=0))
    assert outcome.result == "done"
    assert len([action for _, action in made.performed if isinstance(action, Unsubscribe)]) == 2


def test_two_keys_keep_their_own_minimum_and_each_has_a_canary() -> None:
    vassals = [FakeVassal(f"a{n}.ini", keys=("a",)) for n in range(4)]
    vassals += [FakeVassal(f"b{n}.ini", keys=("b",)) for n in range(3)]
    made = WatchedSite(vassals, {"a": 2, "b": 2})
    outcome = run(made, settings(minimum_active_vassals=Minimum(2)))
    assert outcome.result == "done"
    when = {action.vassal: moment for moment, action in made.performed if isinstance(action, Touch)}
    assert when["a0.ini"] + WAVE < min(moment for id_, moment in when.items() if id_ != "a0.ini")
    assert when["b0.ini"] + WAVE < when["b1.ini"]


def test_a_vassal_of_two_keys_waits_for_room_under_both() -> None:
    keys = {"both.ini": ("a", "b"), "a.ini": ("a",), "b.ini": ("b",)}
    made = WatchedSite([FakeVassal(id_, keys=own) for id_, own in keys.items()], {"a": 1, "b": 1})
    outcome = run(made, settings(canary=0))
    assert outcome.result == "done"


def test_a_vassal_without_a_router_comes_last_and_counts_for_no_minimum() -> None:
    made = a_site(2)
    spooler = FakeVassal("spooler.ini", keys=(), accepts=False, accepting=False)
    made = WatchedSite([*made.vassals.values(), spooler], {"app": 1})
    outcome = run(made, settings())
    assert outcome.result == "done"
    assert outcome.touched()[-1] == "spooler.ini"


def test_a_crash_of_another_vassal_holds_the_next_touch_back() -> None:
    made = a_site(4, 2)
    victim = made.vassals["v4.ini"]
    made.at(1.0, lambda: made.die(victim))
    outcome = run(made, settings(minimum_active_vassals=Minimum(2)))
    assert outcome.result == "done"


def test_a_vassal_that_dies_while_it_is_drained_stops_the_roll() -> None:
    made = a_site(3, v1={"busy_until": 10.0})
    made.at(2.0, lambda: made.die(made.vassals["v1.ini"]))
    outcome = run(made, settings())
    assert outcome.result == "failed"
    assert "died by itself" in str(outcome.roll["reason"])


def test_a_removed_config_is_withdrawn_and_no_failure() -> None:
    made = a_site(4)

    def remove() -> None:
        made.vassals["v3.ini"].config_exists = False

    made.at(1.0, remove)
    outcome = run(made, settings())
    assert outcome.result == "done"
    assert outcome.phases()["v3.ini"] == "withdrawn"


def test_a_vassal_whose_config_is_gone_does_not_count_though_it_still_serves() -> None:
    made = a_site(6, 3)
    serving: list[int] = []

    def remove_when_the_canary_is_back() -> None:
        serving.append(made.serving("app"))
        if made.vassals["v1.ini"].code_since >= 0 and serving[-1] == 6:
            made.vassals["v6.ini"].config_exists = False

    outcome = run(made, settings(minimum_active_vassals=Minimum(3)), each_step=remove_when_the_canary_is_back)
    assert outcome.result == "done"
    assert outcome.phases()["v6.ini"] == "withdrawn"
    assert min(serving) == 3


def test_a_new_vassal_is_not_rolled_and_counts_when_it_serves() -> None:
    made = a_site(2)
    new = FakeVassal("new.ini", present=False, accepting=False, config_exists=False)
    made = WatchedSite([*made.vassals.values(), new], {"app": 1})

    def add() -> None:
        new.config_exists = True

    made.at(1.0, add)
    outcome = run(made, settings())
    assert outcome.result == "done"
    assert sorted(outcome.phases()) == ["v1.ini", "v2.ini"]


def test_a_minimum_that_becomes_unkeepable_ends_the_roll_and_is_kept() -> None:
    made = a_site(3, 2)
    gone = made.vassals["v3.ini"]

    def lose() -> None:
        gone.deaf_router, gone.reloads = True, 0
        gone.nodes.clear()

    made.at(1.0, lose)
    outcome = run(made, settings(minimum_active_vassals=Minimum(2), timeout=20.0))
    assert outcome.result in {"timed-out", "failed"}
    assert made.serving("app") == 2


def test_the_deadline_stops_in_the_middle_of_a_wave_and_lets_it_finish() -> None:
    outcome = run(a_site(6, 4), settings(minimum_active_vassals=Minimum(4), deadline=4.0))
    assert outcome.result == "timed-out"
    assert set(outcome.phases().values()) == {"done", "pending"}
    assert outcome.site.serving("app") == 6


def test_maximum_parallel_bounds_the_window() -> None:
    made = a_site(6)
    outcome = run(made, settings(maximum_parallel=2, canary=0))
    assert outcome.result == "done"
    assert outcome.seconds > 2.9 * WAVE


@pytest.mark.parametrize(("globs", "rolled"), [(("v1*",), {"v1.ini"}), (("v1*", "v3*"), {"v1.ini", "v3.ini"})])
def test_only_the_vassals_named_are_rolled(globs: tuple[str, ...], rolled: set[str]) -> None:
    outcome = run(a_site(3), settings(vassals=globs))
    assert set(outcome.phases()) == rolled
    assert set(outcome.touched()) == rolled


def test_a_trigger_can_narrow_the_roll_but_no_match_touches_nobody() -> None:
    assert run(a_site(3), settings(), only="v2*").touched() == ["v2.ini"]
    nobody = run(a_site(3), settings(), only="nobody*")
    assert nobody.touched() == []
    assert "no vassal to roll" in str(nobody.roll["reason"])


def test_stats_that_cannot_be_read_for_a_while_only_delay() -> None:
    made = a_site(3)

    def blind() -> None:
        made.unreadable_until = made.now + 5.0

    made.at(1.0, blind)
    assert run(made, settings()).result == "done"


def test_stats_that_stay_unreadable_end_the_roll_with_the_traffic_given_back() -> None:
    made = a_site(3, v1={"busy_until": 400.0})

    def blind() -> None:
        made.unreadable_until = 1e9

    made.at(1.0, blind)
    outcome = run(made, settings(drain_timeout=300.0))
    assert outcome.result == "failed"
    assert "Connection refused" in str(outcome.roll["reason"])
    assert any(isinstance(action, Subscribe) and action.vassal == "v1.ini" for _, action in made.performed)


def test_an_emperor_whose_stats_take_long_is_read_for_a_fifth_of_its_time() -> None:
    class SlowSite(WatchedSite):
        looked: list[float]

        def look(self, tracked: Collection[str], look: Look) -> Snapshot:
            self.looked.append(self.now)
            return replace(super().look(tracked, look), emperor_seconds=0.05)

    made = SlowSite([FakeVassal(f"v{number}.ini") for number in range(3)])
    made.looked = []
    assert run(made, settings()).result == "done"
    touches = {when for when, action in made.performed if isinstance(action, Touch)}
    gaps = [second - first for first, second in pairwise(made.looked[1:]) if first not in touches]
    assert len(gaps) > 10
    assert min(gaps) > 0.2 - 1e-9


def test_touches_during_a_roll_give_exactly_one_more() -> None:
    made = a_site(3)
    touches, shelf = Touches(), Shelf(Journal(None), lambda: setattr(made, "touches", {}))
    for moment in (1.0, 2.0, 3.0):
        made.at(moment, touches.touch)
    clock = Clock(made)
    made.at(60.0, clock.end)
    touches.touch()
    Controller(made, touches, settings(), recorder(shelf), clock).run()
    assert [roll["result"] for roll in shelf.history] == ["done", "done"]
    assert shelf.history[1]["request"]["mtime_ns"] == 4


def test_a_second_roll_knows_the_load_time_so_that_it_looks_less_and_ends_sooner() -> None:
    made = a_site(3)
    for one in made.vassals.values():
        one.load = 20.0
    touches, looks = Touches(), [0]
    clock = Clock(made)

    def ended() -> None:
        made.touches = {}
        looks.append(made.looks)
        touches.touch()
        if len(shelf.history) == 2:
            clock.end()

    shelf = Shelf(Journal(None), ended)
    touches.touch()
    Controller(made, touches, settings(check_interval=10.0), recorder(shelf), clock).run()
    first, second = (roll["finished"] - roll["started"] for roll in shelf.history)
    assert second < first
    assert looks[2] - looks[1] < looks[1]


def test_a_hook_that_is_stopped_gives_traffic_back_and_the_next_one_goes_on() -> None:
    made = a_site(3, v1={"busy_until": 50.0})
    clock, later = Clock(made), Clock(made)
    touches, shelf = Touches(), Shelf(Journal(None), later.end)
    made.at(1.0, clock.end)
    touches.touch()
    Controller(made, touches, settings(), recorder(shelf), clock).run()
    assert shelf.statuses[-1]["roll"]["result"] == "interrupted"
    assert shelf.statuses[-1]["state"] == "idle"
    assert made.serving("app") == 3
    assert not shelf.history
    Controller(made, touches, settings(drain_timeout=100.0), recorder(shelf), later).run()
    assert [roll["result"] for roll in shelf.history] == ["done"]


def test_new_code_that_accepts_and_dies_a_second_later_is_lost_to_one_vassal() -> None:
    made = a_site(4)
    for vassal in made.vassals.values():
        vassal.dies_after = 1.0
    outcome = run(made, settings())
    assert outcome.result == "failed"
    assert outcome.phases() == {"v1.ini": "failed", **dict.fromkeys(("v2.ini", "v3.ini", "v4.ini"), "pending")}
    assert outcome.roll["reason"].startswith("v1.ini: after it was done: ")
    assert outcome.touched() == ["v1.ini"]


def test_new_code_that_dies_later_than_canary_time_still_stops_the_roll() -> None:
    made = a_site(4, minimum=3)
    for vassal in made.vassals.values():
        vassal.dies_after = 5.5
    outcome = run(made, settings(minimum_active_vassals=Minimum(3)))
    assert outcome.result == "failed"
    assert outcome.phases()["v1.ini"] == "failed"
    assert outcome.phases()["v4.ini"] == "pending"


def test_a_single_vassal_is_a_first_wave_and_has_to_live_too() -> None:
    made = a_site(1, minimum=0, v1={"dies_after": 1.0})
    assert run(made, settings(minimum_active_vassals=Minimum(0))).result == "failed"


def test_no_vassal_is_taken_while_a_restarted_router_lacks_vassals_of_the_other() -> None:
    made = a_site(6, 4, each={"load": 1.0, "routers": ("east", "west")})
    made.at(1.5, lambda: made.forget("west"))
    outcome = run(made, settings(minimum_active_vassals=Minimum(4), canary_time=0.0))
    assert outcome.result == "done"
    third_is_back = 1.5 + 0.5 + 2 * 3.7
    taken = [when for when, action in made.performed if isinstance(action, Unsubscribe)]
    assert [when for when in taken if 1.5 < when < third_is_back] == []
    assert any(when > third_is_back for when in taken)


def test_vassals_that_a_restarted_router_never_lists_hold_a_roll_for_twelve_seconds() -> None:
    vassals = [FakeVassal(f"v{number}.ini", load=1.0, routers=("east", "west")) for number in range(1, 5)]
    made = WatchedSite(vassals)

    def forget() -> None:
        made.forget("west")
        vassals[3].routers = ("east",)

    made.at(1.5, forget)
    outcome = run(made, settings(minimum_active_vassals=Minimum(3), canary_time=0.0))
    assert outcome.result == "done"
    taken = [when for when, action in made.performed if isinstance(action, Unsubscribe) and when > 1.5]
    assert 13.5 <= min(taken) < 14.0


@pytest.mark.parametrize("load", [0.3, 3.0])
def test_vassals_are_drained_at_one_router_though_the_other_takes_no_packets(load: float) -> None:
    made = a_site(3, 2, each={"load": load, "routers": ("east", "west")})
    made.signed_routers = frozenset({"west"})
    outcome = run(made, settings(minimum_active_vassals=Minimum(2), canary_time=0.0))
    assert outcome.result == "done"
    for name in made.vassals:
        own = [action for _, action in made.performed if getattr(action, "vassal", "") == name]
        first = next(action for action in own if isinstance(action, Touch | Unsubscribe))
        assert isinstance(first, Unsubscribe), f"{name} was touched with requests in flight at east"
        assert "east" in {node.router for node in first.nodes}
    to_west = [
        node
        for _, action in made.performed
        if isinstance(action, Unsubscribe)
        for node in action.nodes
        if node.router == "west"
    ]
    assert 1 <= len(to_west) <= 12, "a router that ignores packets is not sent one at every look"
    assert outcome.roll["reason"] == ""


def test_a_drain_at_one_router_is_waited_for_though_the_other_takes_no_packets() -> None:
    made = a_site(2, 1, each={"routers": ("east", "west")}, v1={"busy_until": 6.0})
    made.signed_routers = frozenset({"west"})
    outcome = run(made, settings(canary_time=0.0))
    touched = {action.vassal: when for when, action in made.performed if isinstance(action, Touch)}
    assert outcome.result == "done"
    assert 6.0 <= touched["v1.ini"] < 6.2


def test_each_keys_first_vassal_has_to_live_before_the_rest_of_its_key() -> None:
    vassals = [FakeVassal(f"a{number}.ini", keys=("a",), load=1.0) for number in (1, 2, 3)]
    vassals += [FakeVassal(f"b{number}.ini", keys=("b",), load=1.0, dies_after=1.0) for number in (1, 2, 3, 4)]
    made = WatchedSite(vassals, {"a": 1, "b": 1})
    outcome = run(made, settings())
    assert outcome.result == "failed"
    phases = outcome.phases()
    assert phases["b1.ini"] == "failed"
    assert {phases[f"b{number}.ini"] for number in (2, 3, 4)} == {"pending"}


@pytest.mark.parametrize("canary", [1, 9])
def test_a_deadline_that_comes_when_all_are_done_ends_nothing(canary: int) -> None:
    outcome = run(a_site(4), settings(canary=canary, canary_time=30.0, deadline=20.0, maximum_parallel=0))
    assert outcome.result == ("done" if canary == 9 else "timed-out")


def test_a_canary_that_is_watched_for_longer_than_the_timeout_is_no_stall() -> None:
    assert run(a_site(4), settings(canary_time=30.0, timeout=8.0)).result == "done"
