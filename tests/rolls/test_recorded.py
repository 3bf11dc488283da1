"""The simulator is faithful: stories played on it look to the hook as they looked on real uWSGI.

Real runs differ in states shorter than the time between two looks: what one run showed oftener than another is not
compared.
"""

from __future__ import annotations

import itertools

import pytest

from tests.support.recording import IDS, LOAD, STORIES, Story, play
from tests.support.simulator import Clock, FakeVassal, SimulatedSite


class SimulatedStage:
    """A simulated site, and its director."""

    def __init__(self, story: Story) -> None:
        self._site = SimulatedSite([FakeVassal(id_, keys=("app.test",), load=LOAD, loyal=story.loyal) for id_ in IDS])
        self.inbox = Clock(self._site)
        self.end = self.inbox.end
        self.wait = self._site.pass_time
        self.monotonic, self.look, self.perform = self._site.monotonic, self._site.look, self._site.perform

    def kill(self, vassal: str) -> None:
        self._site.kill(self._site.vassals[vassal])

    def remove(self, vassal: str) -> None:
        self._site.vassals[vassal].config_exists = False

    def deploy(self, version: str) -> None:
        for one in self._site.vassals.values():
            one.broken = version == "broken"
            one.answers = "500 Oops" if version == "failing" else one.answers


def steady(states: list[str], fleeting: set[str]) -> list[str]:
    """The states in their order, without those that are `fleeting`."""
    return [state for state, _ in itertools.groupby(state for state in states if state not in fleeting)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_looks_as_it_did_on_real_uwsgi(story: Story) -> None:
    seen = play(story, SimulatedStage(story))
    for id_, runs in story.recorded().items():
        sequences = [run["states"] for run in runs]
        known = set(itertools.chain(*sequences))
        fleeting = {state for state in known if len({states.count(state) for states in sequences}) > 1}
        (recorded,) = {tuple(steady(states, fleeting)) for states in sequences}
        assert steady(seen[id_], fleeting) == list(recorded), id_
        assert set(seen[id_]) <= known, id_
