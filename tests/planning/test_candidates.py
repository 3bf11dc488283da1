"""What a look makes of a pending vassal, and in which order the vassals are taken."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.support.build import APP, a_progress, a_roll, a_snapshot, a_subscribed_vassal, a_vassal
from tests.support.rolling import settings
from uwsgi_reload_hook.planning.candidates import Candidate, in_order
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.transitions import ANNOUNCE_WAIT, Context
from uwsgi_reload_hook.snapshot import Blacklisting, Vassal

NOW, TIMEOUT = 50.0, 20.0
NONE = frozenset[str]()
SERVES, LOST = a_subscribed_vassal("a"), a_vassal("a")
STARTS = replace(LOST, accepting=False)


def candidate(there: Vassal, keys: frozenset[str] = APP, unseen: float | None = None, age: float = 1.0) -> Candidate:
    """Of `a`, which is unseen since so many seconds, in a roll of this age in seconds."""
    one = a_progress("a", keys=keys, unseen_since=None if unseen is None else NOW - unseen)
    context = Context(a_snapshot(there), settings(timeout=TIMEOUT), NOW)
    ((_, found),) = in_order(a_roll(one, started=NOW - age), context)
    return found


def traits(one: Candidate) -> dict[str, object]:
    """Those that are not as usual."""
    names = {field.name for field in fields(one)} - {"serves", "keys"}
    return {name: value for name in names if (value := getattr(one, name))}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (SERVES, {}),
        (LOST, {"down": True}),
        (STARTS, {"down": True, "settling": True}),
        (replace(SERVES, blacklisted=Blacklisting(1, 0)), {"down": True}),
        (replace(STARTS, present=False), {"down": True}),
        (replace(SERVES, config_exists=False), {"down": True, "lost": True}),
    ],
)
def test_a_vassal_with_a_key_is_down_when_it_serves_nothing(there: Vassal, expected: dict[str, object]) -> None:
    assert traits(candidate(there)) == expected


@pytest.mark.parametrize(("age", "settling"), [(TIMEOUT - 0.1, True), (TIMEOUT, False)])
def test_a_start_is_waited_for_until_the_timeout(age: float, *, settling: bool) -> None:
    assert candidate(STARTS, age=age).settling is settling
    assert candidate(STARTS, NONE, age=age).settling is settling
    assert not candidate(replace(STARTS, may_subscribe=False), NONE, age=age).settling
    theirs = replace(STARTS, nodes=SERVES.nodes, foreign_keys=APP)
    assert not candidate(theirs, NONE, age=age).settling, "its node is another's"


def test_an_unlisted_vassal_is_overdue_after_its_time_to_announce_itself() -> None:
    assert traits(candidate(LOST, unseen=1.0)) == {"unlisted": APP}
    assert traits(candidate(LOST, unseen=ANNOUNCE_WAIT)) == {"unlisted": APP, "overdue": True}
    assert traits(candidate(SERVES, APP | {"other"}, unseen=1.0)) == {"unlisted": {"other"}}
    assert traits(candidate(LOST, NONE, unseen=1.0)) == {"unknown": True}
    assert traits(candidate(STARTS, unseen=1.0)) == {"down": True, "settling": True}, "it accepts no more"


def test_vassals_that_serve_nothing_go_first_and_those_without_a_key_last() -> None:
    there = (a_vassal("keyless"), a_subscribed_vassal("serves"), a_vassal("down"), a_vassal("unlisted"))
    pending: list[Progress] = [a_progress(one.id, keys=APP if one.id != "keyless" else NONE) for one in there]
    pending[3] = pending[3]._replace(unseen_since=NOW)
    done = a_progress("done", Phase.DONE, keys=APP)
    context = Context(a_snapshot(*there, a_subscribed_vassal("done")), settings(), NOW)
    assert [id_ for id_, _ in in_order(a_roll(*pending, done), context)] == ["down", "unlisted", "serves", "keyless"]


def test_vassals_that_are_alike_share_one_candidate() -> None:
    context = Context(a_snapshot(*map(a_subscribed_vassal, "ab"), a_vassal("c")), settings(), NOW)
    (_, down), (_, first), (_, second) = in_order(a_roll(*(a_progress(id_, keys=APP) for id_ in "abc")), context)
    assert first is second is not down
