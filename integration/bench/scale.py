"""How the hook's costs, and those it makes for the Emperor, grow with the number of vassals."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integration.bench.hook_process import home, settings
from integration.bench.real_emperor import read_cost
from integration.bench.report import align
from integration.bench.usage import cpu_seconds, peak_memory
from integration.waiting import eventually
from uwsgi_reload_hook.planning import opening, planner
from uwsgi_reload_hook.planning.actions import Look
from uwsgi_reload_hook.planning.roll import Request
from uwsgi_reload_hook.site.discovery import discover
from uwsgi_reload_hook.site.site import UwsgiSite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from uwsgi_reload_hook.planning.roll import Roll
    from uwsgi_reload_hook.settings import Settings
    from uwsgi_reload_hook.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
SIZES = (10, 100, 1000)
LOAD_SECONDS = 0.5
REPEAT = 10


@dataclass
class Point:
    """The costs at one size. CPU is in seconds; a roll is one of two waves, with half of the vassals at a time."""

    vassals: int
    first_look: float
    """The one that finds out which node is whose, here by the file names of the sockets."""
    look: float
    busy_look: float
    """With half of the vassals in flight, whose processes are looked into too."""
    plan: float
    """One plan() with half of the vassals in flight."""
    taking_plan: float
    """The one that takes half of the vassals at once."""
    roll_seconds: float
    roll_cpu: float
    roller_memory: int
    looks: int
    serving_share: float
    """The part of the roll that the stand-in spent on answering; it is written in Python."""
    emperor_read: float
    """CPU of a real Emperor with so many vassals for one read of its stats."""

    @property
    def emperor_share(self) -> float:
        """The part of a real Emperor's time that the looks of the roll would take."""
        return self.looks * self.emperor_read / self.roll_seconds


def measure(size: int) -> Point:
    """Look and roll at a stand-in with so many vassals, then read a real Emperor with as many."""
    with _standin(size) as (directory, process):
        looked = _looks(directory, process.pid)
        rolled = _roll(directory, process.pid, lambda: _served(process))
    return Point(size, **looked, **rolled, emperor_read=read_cost(size))


def _served(standin: subprocess.Popen[str]) -> dict[str, Any]:
    """How often it was read so far, and for how many seconds that kept it."""
    assert standin.stdin is not None
    assert standin.stdout is not None
    standin.stdin.write("?\n")
    standin.stdin.flush()
    told: dict[str, Any] = json.loads(standin.stdout.readline())
    return told


@contextmanager
def _standin(size: int) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    directory = Path(tempfile.mkdtemp(prefix="urh-", dir="/tmp"))
    (directory / "vassals").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "integration.bench.standin", directory, str(size), str(LOAD_SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "standing\n"
        yield directory, process
    finally:
        if process.poll() is None:
            process.communicate(timeout=30)
        shutil.rmtree(directory)


def _cpu(act: Callable[[], object]) -> float:
    """CPU seconds of one `act`, in the mean of several."""
    used = time.process_time()
    for _ in range(REPEAT):
        act()
    return (time.process_time() - used) / REPEAT


def _plan_cpu(roll: Roll, look: Callable[[], Snapshot], options: Settings) -> float:
    """CPU seconds of one plan(), in the median; each sees a new snapshot, as what that works out once is its cost."""
    costs = []
    for _ in range(2 * REPEAT):
        snapshot, used = look(), time.process_time()
        planner.plan(snapshot, roll, options, 0.1)
        costs.append(time.process_time() - used)
    return statistics.median(costs)


def _looks(directory: Path, emperor: int) -> dict[str, Any]:
    options = settings(directory)
    world = UwsgiSite(options, home(emperor), discover(options, home(emperor)))
    used = time.process_time()
    snapshot = world.look((), Look())
    first = time.process_time() - used
    ids = sorted(snapshot.vassals)
    roll = opening.open_roll(snapshot, options, Request(1), 0.0, opening.Memory())
    flying = planner.plan(snapshot, roll, options, 0.0).roll
    taken = [progress.id for progress in flying.out]
    assert len(taken) == len(ids) // 2
    return {
        "first_look": first,
        "look": _cpu(lambda: world.look(ids, Look())),
        "busy_look": _cpu(lambda: world.look(ids, Look(inspect=tuple(taken)))),
        "plan": _plan_cpu(flying, lambda: world.look(ids, Look()), options),
        "taking_plan": _plan_cpu(roll, lambda: world.look(ids, Look()), options),
    }


def _roll(directory: Path, emperor: int, served: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Roll twice, and measure the second: the first has to find out which node is whose."""
    trigger = directory / "trigger"
    trigger.touch()
    hook = subprocess.Popen([sys.executable, "-m", "integration.bench.hook_process", directory, str(emperor)], cwd=ROOT)
    try:
        eventually((directory / "trigger.status.json").exists, "the hook idle")
        _roll_once(trigger, {})
        used, before = cpu_seconds(hook.pid), served()
        roll = _roll_once(trigger, _last_roll(trigger))
        after, seconds = served(), roll["finished"] - roll["started"]
        return {
            "roll_seconds": seconds,
            "roll_cpu": cpu_seconds(hook.pid) - used,
            "roller_memory": peak_memory(hook.pid),
            "looks": after["reads"] - before["reads"],
            "serving_share": (after["seconds"] - before["seconds"]) / seconds,
        }
    finally:
        hook.terminate()
        hook.wait()


def _last_roll(trigger: Path) -> dict[str, Any]:
    roll: dict[str, Any] | None = json.loads(trigger.with_name("trigger.status.json").read_text())["roll"]
    return roll or {}


def _roll_once(trigger: Path, before: dict[str, Any]) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        roll = _last_roll(trigger)
        return roll if roll.get("result") and roll["id"] != before.get("id") else None

    trigger.touch()
    roll = eventually(ended, "a roll with a result", 300)
    assert roll["result"] == "done", roll["reason"]
    return roll


def table(points: Sequence[Point]) -> str:
    head = [
        "vassals",
        "",
        "first look ms",
        "look ms",
        "busy look ms",
        "plan ms",
        "taking half",
        "roll s",
        "roll CPU s",
        "peak MB",
    ]
    head += ["looks", "stand-in", "Emperor read ms", "Emperor"]
    rows = [head]
    for point in points:
        times = (point.first_look, point.look, point.busy_look, point.plan, point.taking_plan)
        row = [f"{point.vassals:,}", "", *(f"{seconds * 1000:.2f}" for seconds in times)]
        row += [f"{point.roll_seconds:.2f}", f"{point.roll_cpu:.2f}", f"{point.roller_memory / 2**20:.0f}"]
        row += [str(point.looks), f"{point.serving_share:.1%}", f"{point.emperor_read * 1000:.2f}"]
        rows.append([*row, f"{point.emperor_share:.1%}"])
    return align(rows)
