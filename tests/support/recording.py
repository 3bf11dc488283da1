"""Rolls that are played on real uWSGI, and recorded (integration/record_stories.py), and on the simulated site.

Both times the real controller drives them, and the same is noted of every vassal: the states that the looks show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tests.support.rolling import Shelf, Touches, recorder, settings
from uwsgi_reload_hook.controller import Controller, Inbox, Site
from uwsgi_reload_hook.planning.actions import Look
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

RECORDED = Path(__file__).with_name("recorded")
IDS = tuple(f"app-{number}.ini" for number in (1, 2, 3, 4))
CANARY, OTHER = IDS[0], IDS[2]
LOAD = 0.5
"""Seconds that the application takes to load."""
LOOK = 0.03
"""Seconds between two looks when the roll is over, and their greatest number."""
LOOKS = 2000


class Stage(Site, Protocol):
    """Where a story is played: a site of `IDS`, all under one key."""

    @property
    def inbox(self) -> Inbox:
        """Where the controller waits."""

    def end(self) -> None:
        """Stop the controller at its next wait."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def kill(self, vassal: str) -> None:
        """End the master of `vassal` with SIGKILL."""

    def remove(self, vassal: str) -> None:
        """Remove the config of `vassal`."""

    def deploy(self, version: str) -> None:
        """Put code in place that does not load (`broken`), or answers every request with a 500 (`failing`)."""


@dataclass(frozen=True)
class Story:
    """What happens before the touch (`prepare`), and when a look first shows the canary reloading (`middle`)."""

    name: str
    prepare: Callable[[Stage], None] = lambda _: None
    middle: Callable[[Stage], None] = lambda _: None
    settings: Settings = field(default_factory=lambda: settings(probe=None))
    """A story has no probe unless it says so, because a probe keeps who dies by itself out of its router for a look."""
    loyal: bool = True
    """Whether all vassals have served a request: the Emperor blacklists those that die before they have."""
    absences: int = 0
    """How often the canary has to be seen missing before the end; 0 = the end is when all is well again."""

    def recorded(self) -> Mapping[str, Any]:
        """For each vassal the sequences of states that real runs showed."""
        recorded: Mapping[str, Any] = json.loads((RECORDED / f"{self.name}.json").read_text())
        return recorded


STORIES = (
    Story("good-roll"),
    Story("broken-import", prepare=lambda stage: stage.deploy("broken"), absences=3),
    Story("bad-answers", prepare=lambda stage: stage.deploy("failing"), settings=settings(probe=Probe("/"))),
    Story("crash", middle=lambda stage: stage.kill(OTHER)),
    Story("crash-before-any-request", middle=lambda stage: stage.kill(OTHER), loyal=False),
    Story("config-removed", middle=lambda stage: stage.remove(OTHER)),
)


def play(story: Story, stage: Stage) -> dict[str, list[str]]:
    """Play a story to its end, and return what was seen of each vassal."""
    audience = Audience(stage, story)
    touches, shelf = Touches(), Shelf(Journal(None), stage.end)
    story.prepare(stage)
    audience.look((), Look())
    touches.touch()
    Controller(audience, touches, story.settings, recorder(shelf), stage.inbox).run()
    for _ in range(LOOKS):
        if audience.satisfied():
            return audience.seen
        stage.wait(LOOK)
        audience.look((), Look())
    raise TimeoutError(f"{story.name} does not end: {audience.seen}")


class Audience:
    """Sits between the controller and the stage, and notes what each look shows."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self._stage = stage
        self._story = story
        self._first: Mapping[str, Vassal] = {}
        self._last: Mapping[str, Vassal] = {}
        self._executed = dict.fromkeys(IDS, 0)
        self._begun = False
        self.seen: dict[str, list[str]] = {id_: [] for id_ in IDS}
        self.monotonic = stage.monotonic
        self.perform = stage.perform

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        snapshot = self._stage.look({*IDS, *tracked}, replace(look, inspect=(*IDS, *look.inspect)))
        self._first = self._first or snapshot.vassals
        self._last = snapshot.vassals
        for id_, seen in self.seen.items():
            state = self._state(snapshot, snapshot.vassals[id_])
            if seen[-1:] != [state]:
                seen.append(state)
        if not self._begun and not snapshot.vassals[CANARY].accepting:
            self._begun = True
            self._story.middle(self._stage)
        return snapshot

    def _state(self, snapshot: Snapshot, one: Vassal) -> str:
        first = self._first[one.id]
        words = {
            "absent": not one.present,
            "another pid": one.present and one.pid != first.pid,
            "last_mod moved": one.present and one.last_mod != first.last_mod,
            f"respawns {one.respawns}": one.present,
            f"executed {self._executions(one)}": one.present,
            "cursed": one.cursed,
            "blacklisted": one.blacklisted is not None,
            "accepting": one.accepting,
            "subscribed": bool(snapshot.live[one.id]),
        }
        return ", ".join(word for word, holds in words.items() if holds)

    def _executions(self, one: Vassal) -> int:
        """How often the master has executed itself anew; in the middle of that, what was known before."""
        if one.details and one.details.reloads is not None:
            self._executed[one.id] = one.details.reloads + 1
        return self._executed[one.id]

    def satisfied(self) -> bool:
        """Whether there is nothing more to see."""
        if self._story.absences:
            return sum(state.startswith("absent") for state in self.seen[CANARY]) >= self._story.absences
        return all(one.present == one.accepting == one.config_exists for one in self._last.values())
