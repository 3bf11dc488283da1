"""What the old code of a key answers: who is asked, which answer counts, and what the new code is held against."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.build import a_node, a_progress, a_roll, a_snapshot, a_subscribed_vassal, known, touched
from tests.support.rolling import WatchedSite, a_site, run, settings
from tests.support.simulator import FakeVassal
from uwsgi_reload_hook.planning import old_answers
from uwsgi_reload_hook.planning.actions import SendProbe, Touch
from uwsgi_reload_hook.planning.progress import Image, Phase, Progress
from uwsgi_reload_hook.planning.roll import OldAnswer, Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.settings import Minimum
from uwsgi_reload_hook.snapshot import ProbeResult, ProcessFacts, Vassal

BEFORE = frozenset({(8, 1)})
UNTOUCHED = ProcessFacts(reloads=0, children=BEFORE)
OK = ProbeResult(good=True, words="", status=200)


def noted(one: Progress, **seen: object) -> OldAnswer:
    """What is known after a look at `a`, which was asked."""
    asked = OldAnswer(remembered=404, asked=("a",), awaited=True)
    vassal: Vassal = replace(a_subscribed_vassal("a"), **{"probe": OK, **seen})  # type: ignore[arg-type]
    roll = a_roll(one._replace(keys=frozenset({"app"}), first_pid=7), old_answers={"app": asked})
    return old_answers.note(roll, a_snapshot(vassal)).old_answers["app"]


def reloading(phase: Phase = Phase.RESTARTING) -> Progress:
    return touched(known(a_progress("a", phase), reloads=0, children=BEFORE), at=1.0)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.DRAINING])
def test_an_answer_before_the_touch_counts_if_the_process_is_the_same(phase: Phase) -> None:
    assert noted(a_progress("a", phase)).best == 200
    assert noted(a_progress("a", phase), pid=9).best == 404, "that of the last roll"
    assert noted(a_progress("a", phase), probe=None).best == 0, "nothing yet"


@pytest.mark.parametrize(
    ("facts", "best"),
    [
        (UNTOUCHED, 200),
        (replace(UNTOUCHED, children=frozenset()), 200),
        (replace(UNTOUCHED, reloads=1), 404),
        (replace(UNTOUCHED, reloads=None), 404),
        (replace(UNTOUCHED, children=frozenset({(9, 5)})), 404),
        (replace(UNTOUCHED, children=None), 404),
    ],
)
def test_an_answer_after_the_touch_counts_if_the_old_processes_are_seen(facts: ProcessFacts, best: int) -> None:
    answer = noted(reloading(), details=facts)
    assert (answer.best, answer.awaited) == (best, False)
    assert noted(reloading(), details=None).awaited is True, "the next look shows them"
    assert noted(reloading(Phase.TOUCHED)).awaited is True
    assert noted(reloading()._replace(image=Image.REEXECUTED), details=facts).best != 200


def test_no_answer_at_all_is_final_whenever_it_is_seen() -> None:
    nothing = ProbeResult(good=False, words="refused")
    for phase in (Phase.DRAINING, Phase.TOUCHED, Phase.RESTARTING, Phase.WARMING):
        assert noted(reloading(phase), probe=nothing) == OldAnswer(404, 0, ("a",))


def asked(roll: Roll, *serving: str) -> list[str]:
    """Who is asked at a look at which these serve."""
    seen = (a_subscribed_vassal(id_) if id_ in serving else Vassal(id_) for id_ in roll.vassals)
    context = Context(a_snapshot(*seen), settings(), 1.0)
    return [question.vassal for question in old_answers.ask(roll, context)[1]]


def test_who_is_drained_is_asked_and_another_only_where_that_one_answers_badly() -> None:
    keys = frozenset({"app"})
    node = a_node(address="/run/a.sock")
    canary = known(a_progress("a", Phase.DRAINING, keys=keys), nodes=(node,))
    others = [a_progress(id_, keys=keys) for id_ in "bcd"]
    roll = a_roll(canary, *others)

    def after(answer: OldAnswer) -> Roll:
        return replace(roll, old_answers={"app": answer})

    assert asked(roll, "b", "c") == ["a"]
    assert asked(after(OldAnswer(200)), "b") == ["a"], "this roll's answer replaces the last one's"
    assert asked(after(OldAnswer(0, None, ("a",), awaited=True)), "b") == []
    assert asked(after(OldAnswer(0, 404, ("a",))), "b") == []
    assert asked(after(OldAnswer(0, 0, ("a",))), "b") == [], "a worker would hang each time"
    assert asked(after(OldAnswer(0, 500, ("a",))), "b") == ["b"]
    assert asked(after(OldAnswer(0, None, ("a",))), "c") == ["c"], "its answer may be the new code's"
    assert asked(after(OldAnswer(0, 500, ("a", "b", "c"))), "d") == [], "three are enough"
    paused = canary._replace(drain=canary.drain._replace(nodes=()))
    assert asked(a_roll(paused, *others), "b") == ["b"]
    assert asked(a_roll(paused, *others, old_answers={"app": OldAnswer(301)}), "b") == []
    assert asked(a_roll(canary._replace(phase=Phase.DONE), *others), "b") == [], "the canary has shown it"
    assert asked(a_roll(*others), "b") == []


def test_a_vassal_without_a_node_is_asked_with_the_modifiers_of_its_siblings() -> None:
    sibling = a_subscribed_vassal("b")
    sibling = replace(sibling, nodes=(a_node(key="x", modifier1=1), a_node(modifier1=5, modifier2=2)))
    one = a_progress("a", Phase.WARMING, keys=frozenset({"x-later", "app"}))
    made = old_answers.question(one, a_snapshot(Vassal("a"), sibling))
    assert made == SendProbe("a", (), "app", (5, 2))
    alone = old_answers.question(a_progress("a"), a_snapshot(Vassal("a"), sibling))
    assert alone == SendProbe("a", (), "localhost", None)
    own = known(one, nodes=(a_node(key="x-later"), a_node(modifier1=7)))
    assert old_answers.question(own, a_snapshot(Vassal("a"))).nodes[0].modifier1 == 7


def _keys(site: WatchedSite) -> dict[str, frozenset[str]]:
    return {one.id: frozenset(one.keys) for one in site.vassals.values()}


def results(site: WatchedSite, *answers: str, timeout: float = 60.0) -> list[str]:
    """The results of rolls one after another: in each the new code of all vassals has one of the answers."""
    found, memory = [], None
    for answer in answers:
        for one in site.vassals.values():
            one.answers = answer
        outcome = run(site, settings(timeout=timeout), known_keys=_keys(site), answers=memory)
        assert outcome.shelf.journal is not None
        memory = outcome.shelf.journal.answers
        found.append(outcome.result)
        site.pass_time(5.0)
    return found


@pytest.mark.parametrize("size", [2, 4])
def test_broken_deploys_are_held_until_a_good_one_comes(size: int) -> None:
    site = a_site(size)
    assert results(site, "500 A", "", "503 B", "404 C", "500 D", timeout=5.0) == [
        "failed",
        "failed",
        "failed",
        "done",
        "failed",
    ]
    assert site.serving("app") == size - 1


def test_old_code_that_fails_decides_nothing_and_is_remembered_as_such() -> None:
    site = a_site(3, each={"old_answers": "500 A"})
    assert results(site, "503 B", "500 C", "200 D", "500 E") == ["done", "done", "done", "failed"]


def test_one_broken_vassal_among_good_ones_does_not_speak_for_its_key() -> None:
    site = a_site(3, v1={"old_answers": "500 A"})
    assert results(site, "500 B") == ["failed"]
    assert [type(action) for _, action in site.performed if isinstance(action, SendProbe | Touch)][:3] == [
        SendProbe,
        Touch,
        SendProbe,
    ]


def test_a_canary_that_is_down_at_the_first_roll_is_held_too() -> None:
    site = a_site(3, v2={"present": False, "accepting": False, "answers": "500 A"})
    assert results(site, "500 A") == ["failed"]
    assert site.serving("app") == 2


def test_old_code_that_does_not_answer_costs_no_time_and_decides_nothing() -> None:
    plain, hanging = a_site(3), a_site(3, each={"old_answers": "", "answers": ""})
    without = run(plain, settings(probe=None))
    outcome = run(hanging, settings())
    assert outcome.result == "done"
    assert outcome.seconds == pytest.approx(without.seconds, abs=0.05)
    assert [action.vassal for _, action in hanging.performed if isinstance(action, SendProbe)] == ["v1.ini"]


def test_auto_costs_a_roll_nothing() -> None:
    for minimum, canary in ((1, 1), (1, 0), (4, 1), (7, 1)):
        given = {"minimum_active_vassals": Minimum(minimum), "canary": canary}
        seconds = [run(a_site(8, minimum), settings(**given, probe=None)).seconds]  # type: ignore[arg-type]
        seconds.append(run(a_site(8, minimum), settings(**given)).seconds)  # type: ignore[arg-type]
        assert seconds[1] <= seconds[0] * 1.02 + 0.02, (minimum, canary)


def test_a_vassal_of_mules_only_is_not_asked() -> None:
    site = WatchedSite([FakeVassal("mules.ini", keys=(), accepts=False, accepting=False)])
    assert results(site, "500 A") == ["done"]
    assert not [action for _, action in site.performed if isinstance(action, SendProbe)]
