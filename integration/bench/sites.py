"""A site for each way to roll: what has to run, and how one roll of it is started, followed and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from integration import layout as layouts
from integration.bench.cases import CANARY, HOOK, HOOKS, KEY, OLD, Case
from integration.bench.usage import cpu_seconds, peak_memory
from integration.farm import Farm
from integration.layout import App, Layout
from integration.processes import Process
from integration.waiting import eventually

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = layouts.HERE.parent
POLL = 0.005
PATIENCE = 300.0
LONE = "lone"
LOADS = 3
FRESH = 1.1
"""Seconds that a config must be old: neither way can have a touch noticed within the second of the last one."""


class Loading(NamedTuple):
    """One import of the application, as it saw it itself (epoch)."""

    vassal: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Rolled:
    """One roll. Moments are epoch seconds; `cpu` and `memory` (bytes, the peak) are the roller's."""

    started: float
    finished: float
    first_act: float
    cpu: float
    memory: int
    result: str
    loadings: list[Loading]
    phases: dict[str, list[tuple[float, str]]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.finished - self.started


class Site(Farm, ABC):
    """A farm with one way to roll it."""

    def __init__(self, case: Case, hook: tuple[str, ...] | None = None, *, stats_servers: bool = True) -> None:
        lines = ("lazy-apps = true",) if case.lazy else ()
        app = App(KEY, vassals=case.vassals, load_seconds=case.load_seconds, lines=lines)
        super().__init__(Layout(apps=(app,), hook=hook, stats_servers=stats_servers))
        self.case = case
        self.load_seconds = 0.0
        """From its process to the loaded application, of a vassal that starts by itself: what no roll can do without.

        The interpreter's and uWSGI's own start are in it. The median of several."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.load_seconds = median(self._load_alone() for _ in range(LOADS))
        time.sleep(FRESH)
        return self

    def _load_alone(self) -> float:
        """The load time of one more vassal, which is gone again afterwards."""
        known, config = len(self.loadings()), f"{LONE}.ini"
        self.add_vassal(config, (self.vassals / "app-1.ini").read_text())
        made = _made(eventually(lambda: self.vassal(config), f"{config} started")["pid"])
        loaded = eventually(lambda: self.loadings()[known:], f"{config} loaded")
        self.remove_vassal(config)
        return loaded[0].ended - made

    @abstractmethod
    def perform(self) -> Rolled:
        """Roll once, to the end."""

    def roll_once(self) -> Rolled:
        """Roll, and add what the application saw of it."""
        known = len(self.loadings())
        rolled = self.perform()
        rolled.loadings = self.loadings()[known:]
        return rolled

    def loadings(self) -> list[Loading]:
        path = self.directory / self.layout.apps[0].name / "loads"
        rows = (line.split() for line in path.read_text().splitlines()) if path.exists() else ()
        return [Loading(vassal, float(began), float(ended)) for vassal, began, ended in rows]

    def roller_pid(self) -> int | None:
        """The process that rolls, where it is there between two rolls."""
        return None

    def emperor_pid(self) -> int | None:
        return int(self.emperor()["pid"])


class HookSite(Site):
    """This hook, in a mule of its own vassal."""

    def __init__(self, case: Case, way: str) -> None:
        canary = ("reload-hook-canary = 0",) if way == HOOK else ("reload-hook-canary = 1",)
        canary_time = ("reload-hook-canary-time = 0",) if way == CANARY else ()
        super().__init__(case, (f"reload-hook-minimum-active-vassals = {case.minimum}", *canary, *canary_time))

    def roller_pid(self) -> int:
        return int(self.status()["hook"]["pid"])

    def perform(self) -> Rolled:
        before, pid = self.roll().get("id"), self.roller_pid()
        used = cpu_seconds(pid)
        started = self.touch_trigger()
        phases: dict[str, list[tuple[float, str]]] = {}
        deadline = time.monotonic() + PATIENCE
        known = 0
        while time.monotonic() < deadline:
            # To parse it each time would take a fifth of a CPU from what is measured.
            changed = self.status_path.stat().st_mtime_ns
            roll = self.roll() if changed != known else None
            known = changed
            if roll and roll["id"] != before:
                _note(phases, roll["vassals"])
                if roll["result"]:
                    first = min(one["started"] for one in roll["vassals"].values())
                    used = cpu_seconds(pid) - used
                    return Rolled(started, roll["finished"], first, used, peak_memory(pid), roll["result"], [], phases)
            time.sleep(POLL)
        raise TimeoutError(f"the roll did not end within {PATIENCE} s\n{self.log_tail()}")


def _made(pid: int) -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + Process.of(pid).created


def _note(phases: dict[str, list[tuple[float, str]]], vassals: dict[str, dict[str, object]]) -> None:
    for vassal, now in vassals.items():
        seen = phases.setdefault(vassal, [])
        entry = (float(str(now["since"])), str(now["phase"]))
        if not seen or seen[-1] != entry:
            seen.append(entry)


class OldSite(Site):
    """The old external script, in a process of its own."""

    def perform(self) -> Rolled:
        configs = list(self.vassals.iterdir())
        started = time.time()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "integration.bench.old_script"),
                f"--emperor-path={self.vassals}",
                f"--emperor-stats-socket={self.directory}/emperor.stats",
                f"--fastrouter-stats-socket={self.directory}/router.stats",
                f"--minimum-active-vassals={self.case.minimum}",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        finished = time.time()
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        first = min(config.lstat().st_mtime for config in configs)
        result = "done" if process.returncode == 0 else f"exit code {process.returncode}"
        cpu, memory = usage.ru_utime + usage.ru_stime, int(said)
        return Rolled(started, finished, first, cpu, memory, result, [])


class ChainSite(Site):
    """One instance with as many workers, and no Emperor: uWSGI reloads one worker after another."""

    def __init__(self, case: Case) -> None:
        super().__init__(case, stats_servers=False)

    def _instance_ini(self) -> str:
        app = self.layout.apps[0]
        return layouts.ini(
            [
                "master = true",
                f"processes = {self.case.vassals}",
                "lazy-apps = true",
                "need-app = true",
                "disable-logging = true",
                f"http = 127.0.0.1:{self.http_port}",
                f"socket = {self.directory}/run/app.sock",
                f"wsgi-file = {layouts.HERE}/wsgi_app.py",
                f"env = APP_DIRECTORY={self.directory}/{app.name}",
                "env = VASSAL=worker",
                f"touch-chain-reload = {self.trigger}",
                *layouts.environment_lines(),
            ]
        )

    def _start(self) -> None:
        self.trigger.touch()
        super()._start()
        self._wait_loaded(self.case.vassals)

    def _wait_loaded(self, count: int) -> None:
        eventually(lambda: len(self.loadings()) >= count, f"the application loaded {count} times", PATIENCE)

    def _load_alone(self) -> float:
        """The first worker's: the others are forked by the same process, one after another."""
        return self.loadings()[0].ended - _made(self.process.pid)

    def emperor_pid(self) -> None:
        return None

    def roller_pid(self) -> int:
        return self.process.pid

    def perform(self) -> Rolled:
        known = len(self.loadings())
        used, started = cpu_seconds(self.process.pid), self.touch_trigger()
        self._wait_loaded(known + self.case.vassals)
        loadings = self.loadings()[known:]
        used = cpu_seconds(self.process.pid) - used
        finished = max(one.ended for one in loadings)
        first = min(one.began for one in loadings)
        return Rolled(started, finished, first, used, peak_memory(self.process.pid), "done", [])


def site(way: str, case: Case) -> Site:
    if way in HOOKS:
        return HookSite(case, way)
    return OldSite(case) if way == OLD else ChainSite(case)
