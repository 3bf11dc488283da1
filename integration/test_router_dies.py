"""The FastRouter's process dies in the middle of a roll, and its master starts another one with an empty table."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from integration.layout import App, Layout
from integration.mid_roll import live, phases, wait_phases
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from integration.farm import Farm

VASSALS, MINIMUM, DEATHS = 6, 4, 10


class AcceptingWatcher:
    """Counts, every 10 ms, the application's vassals that accept: what the router lists says nothing here."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._ids = frozenset(farm.app_ids())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.counts: set[int] = set()
        self.samples = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            told = self._farm.vassal_stats()
            self.counts.add(sum(bool(told[id_]["accepting"]) for id_ in self._ids & told.keys()))
            self.samples += 1


def router_pid(farm: Farm) -> int | None:
    try:
        return int(farm.router()["pid"])
    except (OSError, ValueError):
        return None


def test_a_router_that_dies_in_mid_roll_costs_no_vassal_of_the_minimum(start: Callable[[Layout], Farm]) -> None:
    farm = start(
        Layout(
            apps=(App(vassals=VASSALS, load_seconds=0.4),),
            hook=(f"reload-hook-minimum-active-vassals = {MINIMUM}", "reload-hook-canary-time = 0"),
        )
    )
    for death in range(DEATHS):
        before = farm.roll()
        pid = router_pid(farm)
        assert pid is not None
        farm.deploy(f"version-{death}")
        with AcceptingWatcher(farm) as watcher:
            farm.touch_trigger()
            eventually(lambda: farm.roll().get("id") != before.get("id"), "the roll begun")  # noqa: B023 - called here
            # Each time a little later in the roll: at the canary, and when some, and most, are done.
            wait_phases(farm, 1 + death % 5, "restarting", "warming", "done")
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: router_pid(farm) not in {None, pid}, "another router")  # noqa: B023 - called here
            roll = farm.wait_result(before)
        assert roll["result"] == "done", roll["reason"]
        assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
        assert min(watcher.counts) >= MINIMUM, f"death {death}: {watcher.counts} of {watcher.samples} samples"
        assert watcher.samples > 10
        eventually(lambda: live(farm) == frozenset(farm.app_ids()), "all back at the router", 30)


def test_vassals_that_announce_seldom_are_not_taken_for_down_when_the_router_dies(
    start: Callable[[Layout], Farm],
) -> None:
    """For half a minute no router lists them, though all of them accept."""
    app = App(vassals=VASSALS, load_seconds=0.4, lines=("subscribe-freq = 30",))
    hook = (f"reload-hook-minimum-active-vassals = {MINIMUM}",)
    farm = start(Layout(apps=(app,), hook=hook, instance_lines=("subscription-tolerance = 60",)))
    pid = router_pid(farm)
    assert pid is not None
    farm.deploy("new")
    with AcceptingWatcher(farm) as watcher:
        farm.touch_trigger()
        wait_phases(farm, 1, "done")
        os.kill(pid, signal.SIGKILL)
        roll = farm.wait_result({}, seconds=90)
    assert roll["result"] == "done", roll["reason"]
    assert phases(roll) == dict.fromkeys(farm.app_ids(), "done")
    assert min(watcher.counts) >= MINIMUM, f"{watcher.counts} of {watcher.samples} samples"
