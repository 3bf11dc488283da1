"""What the recorder tells its observers, in which order, and what the journal holds by then."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.rolling import Shelf, Touches, WatchedSite, observers, settings
from tests.support.simulator import Clock, FakeVassal
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Mode, Request, Result, Roll
from uwsgi_reload_hook.records.events import (
    Event,
    HookStarted,
    RollBegan,
    RollClosed,
    RollEnded,
    RollInterrupted,
    RollRestored,
    RollResumed,
    RollStopping,
    StepTaken,
    VassalMoved,
)
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.recorder import Recorder

ROLL = Roll("1", Request(1), 1.0, 1000.0, {"a.ini": Progress("a.ini"), "b.ini": Progress("b.ini")})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO):
        yield caplog


class Witness:
    """An observer that remembers what it is told, and whether the journal held a roll by then."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.told: list[tuple[Event, bool]] = []

    def __call__(self, event: Event) -> None:
        self.told.append((event, self._shelf.journal is not None and self._shelf.journal.roll is not None))

    def kinds(self) -> list[tuple[type[Event], bool]]:
        """The kinds of events, without the steps that changed nothing."""
        idle = [event for event, _ in self.told if isinstance(event, StepTaken) and not event.changed]
        return [(type(event), held) for event, held in self.told if event not in idle]


def test_a_roll_is_told_from_its_beginning_to_its_end_after_the_journal_has_it() -> None:
    site = WatchedSite([FakeVassal("a.ini", load=1.0), FakeVassal("b.ini", load=1.0)])
    touches, shelf = Touches(), Shelf(Journal(None))
    witness = Witness(shelf)
    clock = Clock(site, tick=0.05)
    shelf._ended = clock.end
    touches.touch()
    Controller(site, touches, settings(), Recorder(shelf, (*observers(shelf), witness)), clock).run()
    first, second, *steps, ended, closed = witness.kinds()
    assert [first, second] == [(HookStarted, False), (RollBegan, True)]
    assert set(steps) == {(VassalMoved, True), (StepTaken, True)}
    assert [ended, closed] == [(RollEnded, True), (RollClosed, False)]
    moves = [(event.after.id, event.after.phase) for event, _ in witness.told if isinstance(event, VassalMoved)]
    assert [phase for id_, phase in moves if id_ == "a.ini"] == [
        Phase.DRAINING, Phase.TOUCHED, Phase.RESTARTING, Phase.WARMING, Phase.DONE
    ]  # fmt: skip


def test_a_roll_that_is_refused_begins_and_ends() -> None:
    shelf = Shelf(Journal(None))
    witness = Witness(shelf)
    hook = Recorder(shelf, (witness,))
    hook.resume(None, 0.0)
    refused = replace(ROLL, result=Result.REFUSED, reason="too few", finished=1.0)
    hook.begun(refused, 0.5)
    hook.ended(refused, 1.0)
    expected = [HookStarted(), RollBegan(refused, 0.5), RollEnded(refused), RollClosed(refused)]
    assert [event for event, _ in witness.told] == expected


def test_an_interrupted_roll_and_its_resumption_are_told() -> None:
    shelf = Shelf(Journal(None, roll=ROLL))
    witness = Witness(shelf)
    hook = Recorder(shelf, (witness,))
    assert hook.resume(None, 0.0) is not None
    moved = replace(ROLL, vassals={**ROLL.vassals, "a.ini": Progress("a.ini", Phase.FAILED)})
    hook.resumed(ROLL, moved, 1.0)
    stopping = replace(moved, stopping=Result.FAILED, reason="a.ini: it died")
    hook.moved(moved, stopping, 2.0)
    hook.acted(stopping)
    hook.ended(replace(stopping, result=Result.INTERRUPTED), 3.0)
    assert [event for event, _ in witness.told] == [
        HookStarted(),
        RollResumed(moved),
        VassalMoved(moved, ROLL.vassals["a.ini"], moved.vassals["a.ini"]),
        RollStopping(stopping),
        StepTaken(stopping, changed=True),
        RollInterrupted(replace(stopping, result=Result.INTERRUPTED)),
    ]
    assert shelf.journal is not None
    assert shelf.journal.roll == stopping


def test_a_restore_that_ended_leaves_the_whole_roll_owed_and_says_so(log: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(Journal(None, roll=ROLL))
    witness = Witness(shelf)
    hook = Recorder(shelf, (*observers(shelf), witness))
    hook.resume(None, 0.0)
    vassals = {"a.ini": Progress("a.ini", Phase.DONE), "b.ini": Progress("b.ini", Phase.FAILED)}
    restored = replace(
        ROLL, mode=Mode.RESTORE, stopping=Result.INTERRUPTED, reason="a whole roll follows", vassals=vassals
    )
    log.clear()
    hook.ended(replace(restored, result=Result.INTERRUPTED, finished=3.0), 3.0)
    assert witness.kinds()[-1] == (RollRestored, True)
    assert shelf.journal is not None
    assert shelf.journal.roll == restored
    assert shelf.history == []
    assert log.messages == ["roll 1 is undone after 2.00 s, because a whole roll follows; not back in service: b.ini"]
