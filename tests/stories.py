"""Stories that are played twice, on real uWSGI (integration/record_stories.py) and on the simulator (test_recorded.py).

Either time the real controller drives them, and what its looks show of each vassal is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.rolling import INFO, Shelf, Touches, settings
from uwsgi_reload_hook.controller import Controller, Inbox, Outside
from uwsgi_reload_hook.model import Snapshot, Vassal
from uwsgi_reload_hook.recorder import Recorder
from uwsgi_reload_hook.roll import Action
from uwsgi_reload_hook.state import Journal

IDS = tuple(f"app-{number}.ini" for number in (1, 2, 3, 4))
CANARY, OTHER = IDS[0], IDS[2]
LOAD = 0.5
"""Seconds that the application takes to load."""
LOOK = 0.03
"""Seconds between two looks when the roll is over."""


class Stage(Outside, Protocol):
    """Where a story is played."""

    inbox: Inbox

    def kill(self, vassal: str) -> None:
        """End the master of `vassal` by SIGKILL."""

    def remove(self, vassal: str) -> None:
        """Remove the config of `vassal`."""

    def spoil(self) -> None:
        """Deploy code that does not load."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True)
class Story:
    """What happens before the roll (`prepare`), and in the middle: when a look first shows the canary reloading."""

    name: str
    prepare: Callable[[Stage], None] = lambda _: None
    middle: Callable[[Stage], None] = lambda _: None
    loyal: bool = True
    """Whether every vassal has served a request: the Emperor blacklists those that die before they have."""
    deaths: int = 0
    """How often the canary has to be seen dead before the curtain falls."""


STORIES = (
    Story("good roll"),
    Story("broken import", prepare=lambda stage: stage.spoil(), deaths=3),
    Story("crash in mid-roll", middle=lambda stage: stage.kill(OTHER)),
    Story("crash of one that has served nobody", middle=lambda stage: stage.kill(OTHER), loyal=False),
    Story("config removed in mid-roll", middle=lambda stage: stage.remove(OTHER)),
)


def play(story: Story, stage: Stage) -> dict[str, list[str]]:
    """Play `story` to its end, and return what was seen of each vassal."""
    audience = Audience(stage, story)
    touches, shelf = Touches(), Shelf(Journal(None), stage.inbox.stop)
    story.prepare(stage)
    audience.look((), ())
    touches.touch()
    Controller(audience, touches, settings(), Recorder(shelf, INFO), stage.inbox).run()
    while not audience.satisfied():
        stage.wait(LOOK)
        audience.look((), ())
    return audience.seen


class Audience:
    """Stands between the controller and the stage, and notes what each look shows."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self._stage = stage
        self._story = story
        self._first: Mapping[str, Vassal] = {}
        self._last: Mapping[str, Vassal] = {}
        self._reloads = dict.fromkeys(IDS, -1)
        self._begun = False
        self.seen: dict[str, list[str]] = {id_: [] for id_ in IDS}
        self.monotonic = stage.monotonic
        self.perform: Callable[[Action], None] = stage.perform

    def look(self, tracked: Collection[str], detailed: Collection[str]) -> Snapshot:
        snapshot = self._stage.look({*IDS, *tracked}, {*IDS, *detailed})
        self._first = self._first or snapshot.vassals
        self._last = snapshot.vassals
        for id_ in IDS:
            state = self._state(snapshot, id_)
            if self.seen[id_][-1:] != [state]:
                self.seen[id_].append(state)
        if not self._begun and not snapshot.vassals[CANARY].accepting:
            self._begun = True
            self._story.middle(self._stage)
        return snapshot

    def _state(self, snapshot: Snapshot, id_: str) -> str:
        one, first = snapshot.vassals[id_], self._first[id_]
        if not one.present or one.pid != first.pid:
            self._reloads[id_] = -1
        if one.details and one.details.reloads is not None:
            self._reloads[id_] = one.details.reloads
        words = {
            "absent": not one.present,
            "another pid": one.present and one.pid != first.pid,
            "last_mod moved": one.present and one.last_mod != first.last_mod,
            f"respawns {one.respawns}": one.present,
            f"executed {self._reloads[id_] + 1}": one.present,
            "cursed": one.cursed,
            "blacklisted": one.blacklisted is not None,
            "accepting": one.accepting,
            "subscribed": bool(snapshot.live_keys(one)),
        }
        return ", ".join(word for word, holds in words.items() if holds)

    def satisfied(self) -> bool:
        """Whether nothing more is to be seen: everybody serves, but for who was removed or cannot start."""
        deaths = sum(state.startswith("absent") for state in self.seen[CANARY])
        return deaths >= self._story.deaths and all(
            (one.accepting or not one.config_exists or self._story.deaths) for one in self._last.values()
        )
