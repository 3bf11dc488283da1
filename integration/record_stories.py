"""Records what the hook sees of real vassals: `python -m integration.record_stories [RUNS]`.

tests/rolls/test_recorded.py holds the simulator to it. It takes five minutes; run it again when uWSGI changes, and look
at what that changes in tests/support/recorded.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from typing import Any

from integration.client import fetch
from integration.farm import Farm
from integration.layout import App, Layout
from integration.waiting import eventually
from tests.support.recording import IDS, LOAD, RECORDED, STORIES, Story, play
from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site.discovery import Home, discover
from uwsgi_reload_hook.site.site import UwsgiSite

RUNS = 8
APP = App(vassals=len(IDS), load_seconds=LOAD)


class RealStage(UwsgiSite):
    """The world of a farm, and its director."""

    def __init__(self, farm: Farm, settings: Settings) -> None:
        home = Home("shell", emperor_pid=farm.emperor()["pid"])
        super().__init__(settings, home, discover(settings, home))
        self._farm = farm
        self.inbox = Inbox()
        self.end = self.inbox.stop
        self.wait = time.sleep

    def kill(self, vassal: str) -> None:
        os.kill(self._farm.vassal_stats()[vassal]["pid"], signal.SIGKILL)

    def remove(self, vassal: str) -> None:
        (self._farm.vassals / vassal).unlink()

    def deploy(self, version: str) -> None:
        self._farm.deploy(version)


def perform(story: Story) -> dict[str, list[str]]:
    """One run."""
    with Farm(Layout(apps=(APP,), hook=None)) as farm:
        if story.loyal:
            eventually(lambda: fetch(farm.http_port, APP.key) and _all_loyal(farm), "loyal vassals")
        return play(story, RealStage(farm, story.settings))


def _all_loyal(farm: Farm) -> bool:
    return all(entry["loyal"] for entry in farm.vassal_stats().values())


def record(story: Story, runs: int) -> dict[str, Any]:
    """The sequences of states of each vassal, and how many runs showed them."""
    seen = [perform(story) for _ in range(runs)]
    found = {id_: Counter(tuple(one[id_]) for one in seen) for id_ in IDS}
    return {
        id_: [{"runs": count, "states": states} for states, count in counter.most_common()]
        for id_, counter in found.items()
    }


def main() -> None:
    """Records every story."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    RECORDED.mkdir(exist_ok=True)
    for story in STORIES:
        (RECORDED / f"{story.name}.json").write_text(json.dumps(record(story, runs), indent=1) + "\n")
        sys.stdout.write(f"{story.name} is recorded\n")


if __name__ == "__main__":
    main()
