"""A hook killed at any moment of a roll, and the hook after it: nobody twice, nobody forgotten, never too few."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from tests.support.rolling import Outcome, Shelf, Touches, WatchedSite, WatchingRecorder, observers, recorder, settings
from tests.support.simulator import Clock, FakeVassal
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.planning.actions import Action, Look
from uwsgi_reload_hook.records.journal import Journal, decode, encode
from uwsgi_reload_hook.settings import Minimum
from uwsgi_reload_hook.snapshot import Snapshot


class KilledError(BaseException):
    """SIGKILL: nothing of the hook runs any more."""


class Fragile(WatchedSite):
    """A site whose hook is killed right before, or right after, one act or one look."""

    def __init__(self, count: int, minimum: int) -> None:
        super().__init__([FakeVassal(f"v{number}.ini", load=1.0) for number in range(count)], {"app": minimum})
        self.lives = -1
        self.after = False

    def perform(self, action: Action) -> None:
        self._count(lambda: super(Fragile, self).perform(action))

    def _count(self, act: Callable[[], None]) -> None:
        self.lives -= 1
        if self.lives == 0 and not self.after:
            raise KilledError
        act()
        if self.lives == 0:
            raise KilledError


def story(*, acts: int, after: bool, away: float, minimum: int, restart: bool = False) -> Outcome | None:
    """Kill the hook at its `acts`-th act, and start another `away` seconds later; None if it made fewer acts."""
    site = Fragile(4, minimum)
    site.lives, site.after = acts, after
    given = settings(minimum_active_vassals=Minimum(minimum), timeout=8.0)
    clock = Clock(site, tick=0.05)
    touches, shelf = Touches(), Shelf(Journal(None), clock.end)
    touches.touch()

    def hook() -> None:
        Controller(site, touches, given, WatchingRecorder(shelf, observers(shelf)), clock).run()

    try:
        hook()
    except KilledError:
        pass
    else:
        return None
    assert shelf.journal is not None
    shelf.journal = decode(encode(shelf.journal))
    if restart:
        for one in site.vassals.values():
            one.present, one.accepting = False, False
            one.nodes.clear()
        site.touches = {}
    site.pass_time(away)
    site.lives = -1
    hook()
    return Outcome(site, shelf, touches)


@pytest.mark.parametrize("away", [0.0, 0.3, 30.0])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("minimum", [1, 2, 3])
def test_a_hook_killed_at_any_act_is_followed_by_one_that_goes_on(minimum: int, after: bool, away: float) -> None:
    acts = 0
    while outcome := story(acts=acts + 1, after=after, away=away, minimum=minimum):
        acts += 1
        assert outcome.result == "done", outcome.roll["reason"]
        assert len(outcome.shelf.history) == 1, "one roll, taken up, not two"
        assert set(outcome.phases().values()) == {"done"}
        assert all(one.code_since >= 0 for one in outcome.site.vassals.values())
        outcome.site.pass_time(1.0)
        assert outcome.site.serving("app") == 4
    assert acts >= 4 * 4, "unsubscribe, touch, nudge and subscribe of each"


@pytest.mark.parametrize("after", [False, True])
def test_an_emperor_restarted_in_the_middle_leaves_nobody_to_reload(after: bool) -> None:
    acts = 0
    while outcome := story(acts=acts + 1, after=after, away=1.0, minimum=2, restart=True):
        acts += 1
        assert outcome.result == "done", outcome.roll["reason"]
        assert all(one.code_since >= 0 for one in outcome.site.vassals.values())
        assert outcome.site.serving("app") == 4, "also those that were done before the Emperor died"
    assert acts >= 4 * 4


class Restarting(Fragile):
    """A site whose Emperor dies right before one look, and all vassals with it; another one is started at once."""

    fatal_look = 0

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        if self.looks == self.fatal_look:
            for one in self.vassals.values():
                one.present, one.accepting = False, False
                one.nodes.clear()
        emperor = 1 if self.looks < self.fatal_look else 2
        return replace(super().look(tracked, look), emperor_pid=emperor)


@pytest.mark.parametrize("minimum", [1, 3])
def test_an_emperor_restarted_at_any_look_under_a_hook_that_outlives_it(minimum: int) -> None:
    """As it does in a mule of the instance that hosts the Emperor, and in a shell."""
    looks = 0
    while True:
        site = Restarting(4, minimum)
        site.fatal_look = looks = looks + 1
        clock = Clock(site, tick=0.05)
        touches, shelf = Touches(), Shelf(Journal(None), clock.end)
        touches.touch()
        given = settings(minimum_active_vassals=Minimum(minimum), timeout=8.0)
        Controller(site, touches, given, recorder(shelf), clock).run()
        (roll,) = shelf.history
        assert roll["result"] == "done", (looks, roll["reason"])
        assert all(one.code_since >= 0 for one in site.vassals.values())
        if site.looks <= looks:
            break
        assert site.serving("app") == 4, "also those that were done before the Emperor died"
    assert looks > 20


def test_the_time_without_a_hook_does_not_count_towards_a_timeout() -> None:
    outcome = story(acts=2, after=True, away=500.0, minimum=1)
    assert outcome is not None
    assert outcome.result == "done"
