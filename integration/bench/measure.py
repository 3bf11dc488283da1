"""One measurement: a roll under steady requests, and the same requests for as long without one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from integration.bench.load import Load, Request
from integration.bench.usage import fine_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integration.bench.sites import Rolled, Site

WARM = 0.3
TAIL = 0.1
QUIET = 20.0
"""The most seconds without a roll that are measured beside one: in more of them the slowest could only be slower."""


@dataclass
class Answers:
    """How the requests of some seconds fared. Times are seconds; a failed one has no answer, or not a 200."""

    count: int
    failed: int
    slowest: float
    p99: float

    @classmethod
    def of(cls, requests: Sequence[Request]) -> Answers:
        times = sorted(one.seconds for one in requests)
        failed = sum(one.status != 200 for one in requests)
        return cls(len(times), failed, times[-1], times[math.ceil(len(times) * 0.99) - 1])


@dataclass
class Sample:
    """One measured roll. All times are seconds, memory is bytes; None = there is no such process, or not measured."""

    case: str
    way: str
    run: int
    result: str
    seconds: float
    first_act: float
    load_seconds: float
    """From process to loaded application, of a vassal that started by itself on this site."""
    limit: float
    """Waves times `load_seconds`."""
    import_seconds: float
    """The median time that the import of the application alone took during this roll, by its own clock."""
    imports: float
    """Waves times `import_seconds`."""
    reloads: int
    during: Answers
    without: Answers | None
    roller_cpu: float
    roller_memory: int
    roller_idle: float | None
    """The roller's CPU seconds for each second without a roll."""
    emperor_cpu: float | None
    stages: dict[str, float] = field(default_factory=dict)
    """Where the time of one vassal goes, in the median of all: see `stages`."""

    @property
    def ratio(self) -> float:
        return self.seconds / self.limit


def measure(site: Site, way: str, run: int, *, compare: bool) -> Sample:
    """Rolls `site` once; with `compare` the requests without a roll are measured after it, for as long."""
    emperor = site.emperor_pid()
    with Load(site.http_port) as load:
        time.sleep(WARM)
        used = fine_cpu_seconds(emperor) if emperor else 0.0
        rolled = site.roll_once()
        emperor_cpu = fine_cpu_seconds(emperor) - used if emperor else None
        time.sleep(TAIL)
    quiet, idle = _quiet(site, min(rolled.seconds, QUIET)) if compare else (None, None)
    import_seconds = median(one.seconds for one in rolled.loadings)
    return Sample(
        case=site.case.name,
        way=way,
        run=run,
        result=rolled.result,
        seconds=rolled.seconds,
        first_act=rolled.first_act - rolled.started,
        load_seconds=site.load_seconds,
        limit=site.case.waves * site.load_seconds,
        import_seconds=import_seconds,
        imports=site.case.waves * import_seconds,
        reloads=len(rolled.loadings),
        during=Answers.of(load.between(rolled.started, rolled.finished)),
        without=quiet,
        roller_cpu=rolled.cpu,
        roller_memory=rolled.memory,
        roller_idle=idle,
        emperor_cpu=emperor_cpu,
        stages=stages(rolled),
    )


def _quiet(site: Site, seconds: float) -> tuple[Answers, float | None]:
    pid = site.roller_pid()
    with Load(site.http_port) as load:
        time.sleep(WARM)
        used, started = fine_cpu_seconds(pid) if pid else 0.0, time.time()
        time.sleep(seconds)
        finished = time.time()
        idle = (fine_cpu_seconds(pid) - used) / (finished - started) if pid else None
    return Answers.of(load.between(started, finished)), idle


STAGES = ("draining", "touched", "to import", "import", "to accepting seen", "warming")
"""A vassal of this hook: until nothing is in flight; until the Emperor has noticed the touch; until the new image
begins to import the application; the import; until the hook has seen that it accepts; until it is subscribed again."""


def stages(rolled: Rolled) -> dict[str, float]:
    """The median seconds of each stage over the vassals of a roll; empty where the roller tells no phases."""
    imports = {f"{one.vassal}.ini": one for one in rolled.loadings}
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for vassal, seen in rolled.phases.items():
        since = {phase: when for when, phase in seen}
        if vassal not in imports or not {"draining", "touched", "restarting", "warming", "done"} <= since.keys():
            continue
        loading = imports[vassal]
        moments = [since["draining"], since["touched"], since["restarting"], loading.began, loading.ended]
        moments += [since["warming"], since["done"]]
        for stage, begin, end in zip(STAGES, moments, moments[1:], strict=False):
            found[stage].append(end - begin)
    return {stage: median(seconds) for stage, seconds in found.items() if seconds}
