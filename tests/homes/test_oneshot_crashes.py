"""A `reload` killed at any act, and the next one: what is in flight comes back, and then everybody is rolled anew.

With `--resume` the roll is finished where it was: nobody twice, nobody forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.rolls.test_crashes import Fragile, KilledError
from tests.support.build import in_phase
from tests.support.rolling import Shelf, WatchingRecorder, observers, settings
from tests.support.simulator import Clock
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.homes import oneshot
from uwsgi_reload_hook.planning.actions import Subscribe, Touch
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Mode, Result
from uwsgi_reload_hook.records.journal import decode, encode
from uwsgi_reload_hook.settings import Minimum

IDS = [f"v{number}.ini" for number in range(4)]
RELOADED = [f"v{number}: reloaded" for number in range(4)]


@dataclass
class Shell:
    """A site, and the `reload`s that are made there one after another."""

    minimum: int = 2
    said: list[str] = field(default_factory=list)
    """What the last one said on standard output."""

    def __post_init__(self) -> None:
        self.site = Fragile(4, self.minimum)
        self.shelf = Shelf()

    def reload(self, *, resume: bool = False, stop_at: Callable[[], bool] = lambda: False) -> int:
        """Reload; raises KilledError when the site's hook has no lives left."""
        self.said = []
        clock = Clock(self.site, lambda: clock.end() if stop_at() else None, tick=0.05)
        lines = oneshot.OutputLines(self.said.append, (".ini",))
        recorder = WatchingRecorder(self.shelf, (*observers(self.shelf), lines))
        given = settings(minimum_active_vassals=Minimum(self.minimum), timeout=8.0)
        return oneshot.roll(Controller(self.site, oneshot.NoTrigger(), given, recorder, clock), resume=resume)

    def killed(self, acts: int, *, after: bool = True, resume: bool = False) -> bool:
        """Kill a reload at its `acts`-th act; False if it made fewer."""
        self.site.lives, self.site.after = acts, after
        try:
            self.reload(resume=resume)
        except KilledError:
            return True
        else:
            return False
        finally:
            self.site.lives = -1
            assert self.shelf.journal is not None
            self.shelf.journal = decode(json.loads(json.dumps(encode(self.shelf.journal))))

    def restart_emperor(self) -> None:
        for one in self.site.vassals.values():
            one.present, one.accepting = False, False
            one.nodes.clear()
        self.site.touches = {}

    def another_roll(self) -> None:
        """Let everybody be touched again."""
        self.site.touches = {}

    def assert_everybody_is_new(self, since: float) -> None:
        assert all(one.code_since >= since for one in self.site.vassals.values())
        self.site.pass_time(1.0)
        assert self.site.serving("app") == 4
        assert self.shelf.journal is not None
        assert self.shelf.journal.roll is None


@pytest.mark.parametrize("away", [0.0, 0.3, 30.0])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("minimum", [1, 2, 3])
def test_a_reload_killed_at_any_act_is_brought_back_and_everybody_rolled(
    minimum: int, after: bool, away: float, capsys: pytest.CaptureFixture[str]
) -> None:
    acts = 0
    while (host := Shell(minimum)).killed(acts + 1, after=after):
        acts += 1
        host.site.pass_time(away)
        host.another_roll()
        since = host.site.now
        capsys.readouterr()
        assert host.reload() == 0
        assert sorted(host.said) == RELOADED, "of the roll that it was asked for"
        (line,) = capsys.readouterr().err.splitlines()
        assert "was not finished" in line
        assert host.site.touches == dict.fromkeys(IDS, 1)
        host.assert_everybody_is_new(since)
    assert acts >= 4 * 4, "unsubscribe, touch, nudge and subscribe of each"


@pytest.mark.parametrize("away", [0.0, 0.3, 30.0])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("minimum", [1, 2, 3])
def test_a_reload_killed_at_any_act_is_finished_with_resume(minimum: int, after: bool, away: float) -> None:
    acts = 0
    while (host := Shell(minimum)).killed(acts + 1, after=after):
        acts += 1
        first = host.said
        host.site.pass_time(away)
        assert host.reload(resume=True) == 0
        assert sorted(first + host.said) == RELOADED
        assert host.site.touches == dict.fromkeys(IDS, 1)
        host.assert_everybody_is_new(since=0.0)
        assert len(host.shelf.history) == 1
    assert acts >= 4 * 4


@pytest.mark.parametrize("resume", [False, True])
def test_a_reload_killed_before_the_emperor_was_restarted(resume: bool) -> None:
    acts = 0
    while (host := Shell()).killed(acts + 1):
        acts += 1
        host.restart_emperor()
        host.site.pass_time(100.0)
        since = host.site.now
        began = len(host.site.performed)
        assert host.reload(resume=resume) == 0
        host.assert_everybody_is_new(since=0.0 if resume else since)
        if resume:  # the start has renewed everybody
            assert not [action for _, action in host.site.performed[began:] if isinstance(action, Touch)]
    assert acts >= 4 * 4


@pytest.mark.parametrize("again", [1, 2, 3, 5, 8])
def test_a_reload_killed_during_restore_is_followed_by_a_full_roll(again: int) -> None:
    acts = 0
    while (host := Shell()).killed(acts + 1):
        acts += 1
        host.another_roll()
        since = host.site.now
        assert host.killed(again)
        host.another_roll()
        assert host.shelf.journal is not None
        roll = host.shelf.journal.roll
        assert roll is not None
        brought_back = roll.mode is Mode.RESTORE
        assert host.reload(resume=True) == 0
        if brought_back:
            assert sorted(host.said) == RELOADED
        host.assert_everybody_is_new(since)


def test_restoring_drained_vassals_takes_a_packet_each_and_no_touch() -> None:
    host = Shell(minimum=2)
    assert host.killed(1)
    began = len(host.site.performed)
    assert host.reload() == 0
    first, second, *_ = [action for _, action in host.site.performed[began:]]
    assert isinstance(first, Subscribe)
    assert first.vassal == "v0.ini"
    assert not isinstance(second, Touch)


@pytest.mark.parametrize("resume", [False, True])
def test_one_that_was_interrupted_by_a_signal_is_taken_up_too(resume: bool, capsys: pytest.CaptureFixture[str]) -> None:
    host = Shell()
    assert host.reload(stop_at=lambda: len(host.said) == 1) == 1
    assert "interrupted: the hook was stopped" in capsys.readouterr().err
    first = host.said
    if not resume:
        host.another_roll()
    since = host.site.now
    assert host.reload(resume=resume) == 0
    assert sorted(host.said + first if resume else host.said) == RELOADED
    host.assert_everybody_is_new(0.0 if resume else since)


def test_a_reload_interrupted_during_restore_says_so_and_is_resumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = Shell()
    assert host.killed(2)
    assert host.reload(stop_at=lambda: True) == 1
    assert "interrupted before its roll began" in capsys.readouterr().err
    host.another_roll()
    assert host.reload() == 0
    host.assert_everybody_is_new(since=0.0)


def test_a_vassal_that_fails_during_restore_is_the_canary_of_the_full_roll(
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = Shell()
    broken = host.site.vassals["v0.ini"]
    broken.broken = True
    assert host.killed(4), "its old code was asked, it was touched, and its master woken"
    host.another_roll()
    host.site.at(host.site.now + 0.1, lambda: setattr(broken, "broken", False))
    assert host.reload() == 0
    assert "v0: failed: " in capsys.readouterr().err
    assert sorted(host.said) == RELOADED
    assert host.said[0] == "v0: reloaded", "the canary"
    host.assert_everybody_is_new(since=0.0)


def test_a_failed_roll_ends_as_failed_with_resume_and_is_rolled_again_without() -> None:
    for resume, code in ((True, 1), (False, 0)):
        host = Shell()
        assert host.killed(4)
        assert host.shelf.journal is not None
        roll = host.shelf.journal.roll
        assert roll is not None
        failed_roll = replace(in_phase(roll, v3=Phase.FAILED), stopping=Result.FAILED, reason="v3.ini: it died")
        host.shelf.journal = replace(host.shelf.journal, roll=failed_roll)
        host.another_roll()
        assert host.reload(resume=resume) == code


def test_with_nothing_unfinished_resume_says_so_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    host = Shell()
    assert host.reload(resume=True) == 0
    assert "there is no unfinished roll to resume" in capsys.readouterr().err
    assert host.reload() == 0
    host.another_roll()
    assert host.reload(resume=True) == 0
    assert (host.said, host.site.touches) == ([], {})
