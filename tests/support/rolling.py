"""Runs the real controller and planner on a simulated site, and checks the promise after every act and every step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.support.build import owed
from tests.support.simulator import Clock, FakeVassal, SimulatedSite
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.planning import planner
from uwsgi_reload_hook.planning.actions import Action, Step, Subscribe, Suspend, Touch, Unsubscribe
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.planning.transitions import NEXT
from uwsgi_reload_hook.records.events import Observer
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.log import log_event
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.status import HookInfo
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.settings import Settings

__all__ = ["Outcome", "Shelf", "WatchedSite", "a_site", "observers", "recorder", "run", "settings"]

INFO = HookInfo(1, "mule", "0", 0.0)
settings = partial(Settings, trigger="trigger")


class Shelf:
    """A store that keeps everything in memory."""

    def __init__(self, journal: Journal | None = None, ended: Callable[[], None] = lambda: None) -> None:
        self.journal = journal
        self.statuses: list[Mapping[str, Any]] = []
        self.history: list[Mapping[str, Any]] = []
        self._ended = ended

    def write_status(self, document: Mapping[str, Any]) -> None:
        self.statuses.append(document)

    def write_journal(self, journal: Journal) -> None:
        self.journal = journal

    def read_journal(self) -> Journal | None:
        return self.journal

    def read_status(self) -> None:
        return None

    def last_roll(self) -> None:
        return None

    def flush(self) -> None:
        """Nothing is ever owed."""

    def append_history(self, document: Mapping[str, Any]) -> None:
        self.history.append(document)
        self._ended()


def observers(shelf: Shelf) -> tuple[Observer, ...]:
    """Those of the hook, with the shelf in place of its files."""
    return log_event, StatusFile(shelf, INFO), History(shelf.append_history)


def recorder(shelf: Shelf) -> Recorder:
    """The hook's recorder, with the shelf in place of its files."""
    return Recorder(shelf, observers(shelf))


class Touches:
    """A trigger file that somebody touches: each item is one mtime, in the order of `touch`."""

    def __init__(self) -> None:
        self.now: Request | None = None

    def touch(self, only: str = "*") -> None:
        """Touch it."""
        self.now = Request(mtime_ns=1 if self.now is None else self.now.mtime_ns + 1, only=only)

    def start(self) -> None:
        """Nothing to watch."""

    def stop(self) -> None:
        """Nothing was watched."""

    def request(self) -> Request | None:
        return self.now


class WatchedSite(SimulatedSite):
    """A site that raises AssertionError the moment an act of the hook breaks the promise.

    A vassal that a router has forgotten counts as serving: nothing is wrong with it.
    """

    def __init__(self, vassals: Collection[FakeVassal], minimum: Mapping[str, int] | None = None) -> None:
        super().__init__(vassals)
        self.minimum = minimum or {}
        """Key to the number of vassals that must serve."""
        self.stopped = False
        self.touches: dict[str, int] = {}
        """How often each vassal was touched in this roll."""
        self.taken: frozenset[str] = frozenset()
        """Those that served until an act of the hook."""

    def perform(self, action: Action) -> None:
        if not isinstance(action, Touch | Unsubscribe | Suspend):
            super().perform(action)
            return
        before = {key: self.able(key) for key in self.minimum}
        if isinstance(action, Touch):
            self._check_touch(self.vassals[action.vassal])
        super().perform(action)
        self._check(action, before)
        if any(self.able(key) < number for key, number in before.items()):
            self.taken |= {action.vassal}

    def _check_touch(self, one: FakeVassal) -> None:
        """A vassal that served until it was taken is touched only if there are enough without it, at that moment."""
        for key in {*one.keys} & {*self.minimum}:
            serves = self.is_able(one, key)
            others = self.able(key) - serves
            enough = others >= self.minimum[key] or not (serves or (one.accepting and one.id in self.taken))
            assert enough, f"{one.id} is touched while {others} of {self.minimum[key]} serve {key}"

    def _check(self, action: Touch | Unsubscribe | Suspend, before: Mapping[str, int]) -> None:
        for key, minimum in self.minimum.items():
            after = self.able(key)
            assert after == before[key] or after >= minimum, f"{action} left {after} of {minimum} for {key}"
        if isinstance(action, Touch):
            assert not self.stopped, f"{action} after the roll was stopped"
            self.touches[action.vassal] = self.touches.get(action.vassal, 0) + 1
            assert self.touches[action.vassal] == 1, f"{action.vassal} was touched twice in one roll"


def a_site(
    count: int = 3,
    minimum: int = 1,
    *,
    first: int = 1,
    each: Mapping[str, object] | None = None,
    **faults: Mapping[str, object],
) -> WatchedSite:
    """`v1.ini` and so on under the key `app`, all with the fields of `each`, and `v1.ini` with those of `v1`."""
    fields = {f"v{number}": {**(each or {}), **faults.get(f"v{number}", {})} for number in range(first, first + count)}
    vassals = [FakeVassal(f"{name}.ini", **given) for name, given in fields.items()]  # type: ignore[arg-type]
    return WatchedSite(vassals, {"app": minimum})


@dataclass
class Outcome:
    """How a roll went."""

    site: WatchedSite
    shelf: Shelf
    touches: Touches

    @property
    def roll(self) -> Mapping[str, Any]:
        """The last roll that ended, as history has it."""
        return self.shelf.history[-1]

    @property
    def result(self) -> str:
        return str(self.roll["result"])

    @property
    def seconds(self) -> float:
        return float(self.roll["finished"] - self.roll["started"])

    def phases(self) -> dict[str, str]:
        return {id_: str(one["phase"]) for id_, one in self.roll["vassals"].items()}

    def touched(self) -> list[str]:
        return [action.vassal for _, action in self.site.performed if isinstance(action, Touch)]


def run(  # noqa: PLR0913 - each argument is one dimension of a world
    site: WatchedSite,
    given: Settings,
    *,
    each_step: Callable[[], None] = lambda: None,
    known_keys: Mapping[str, frozenset[str]] | None = None,
    rolls: int = 1,
    limit: float = 1000.0,
    tick: float = 0.001,
    only: str = "*",
) -> Outcome:
    """Touch the trigger, and run until so many rolls have ended. A world that takes more than `limit` seconds fails."""
    touches = Touches()

    def after_wait() -> None:
        assert site.now < limit, f"no end after {limit} s: {shelf.statuses[-1]}"
        each_step()

    clock = Clock(site, after_wait, tick)

    def ended() -> None:
        site.touches, site.taken = {}, frozenset()
        if len(shelf.history) == rolls:
            clock.end()

    shelf = Shelf(Journal(None, known_keys), ended)
    touches.touch(only)
    Controller(_Stopping(site, shelf), touches, given, WatchingRecorder(shelf, observers(shelf)), clock).run()
    return Outcome(site, shelf, touches)


class WatchingRecorder(Recorder):
    """Checks every step of a roll: the phase table, that a stop is final, and what an interruption would do.

    A roll that is taken up (`resumed`) goes back to where it can be judged from: the table does not hold for that.
    """

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        for id_, new in after.vassals.items():
            old = before.vassals[id_].phase
            assert new.phase is old or new.phase in NEXT[old], f"{id_}: {old} -> {new.phase}"
            taken = old is Phase.PENDING and new.phase is Phase.DRAINING
            assert not (taken and after.stopping), f"{id_} was taken after {after.reason}"
        assert before.stopping is None or before.stopping is after.stopping
        if after.result is None:
            interrupted(after, 0.0)
        super().moved(before, after, now)


class _Stopping:
    """The site, told when the roll takes no further vassal."""

    def __init__(self, site: WatchedSite, shelf: Shelf) -> None:
        self._site = site
        self._shelf = shelf
        self.monotonic = site.monotonic
        self.look = site.look

    def perform(self, action: Action) -> None:
        roll = self._shelf.statuses[-1]["roll"]
        self._site.stopped = bool(roll["reason"])
        self._site.perform(action)
        self._site.stopped = False


def interrupted(roll: Roll, now: float) -> Step:
    """What an interruption at this moment does: everybody drained and untouched must get traffic back."""
    step = planner.end_at_once(roll, now, Result.INTERRUPTED, "test")
    drained = {id_ for id_, one in roll.vassals.items() if one.phase is Phase.DRAINING and owed(one)}
    paid = {action.vassal for action in step.actions if isinstance(action, Subscribe)}
    assert paid == drained
    assert all(isinstance(action, Subscribe) for action in step.actions)
    return step
