"""The figures of all runs as a table for the terminal. Times differ from host to host: compare ratios."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from integration.bench.cases import HOOK, Case
from integration.bench.measure import STAGES, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Rows = list[list[str]]


@dataclass
class Summary:
    """One way in one case: medians over its runs, but the sum of failed requests. Seconds and bytes."""

    case: str
    way: str
    runs: int
    results: list[str]
    seconds: float
    limit: float
    ratio: float
    imports_ratio: float
    """How many times the waves' imports alone."""
    times_hook: float
    """How many times as long as this hook without a canary."""
    first_act: float
    slowest: float
    slowest_without: float | None
    p99: float
    p99_without: float | None
    requests: int
    failed: int
    roller_cpu: float
    cpu_of_hook: float
    """How many times the CPU time of this hook without a canary."""
    roller_memory: int
    roller_idle: float | None
    emperor_cpu: float | None
    stages: dict[str, float]


def summarise(samples: Sequence[Sample]) -> list[Summary]:
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.case, sample.way), []).append(sample)
    found = {key: _summary(*key, group, groups.get((key[0], HOOK), group)) for key, group in groups.items()}
    return list(found.values())


def _summary(case: str, way: str, group: list[Sample], hook: list[Sample]) -> Summary:
    seconds, cpu = _median(group, lambda one: one.seconds), _median(group, lambda one: one.roller_cpu)
    without = [one.without for one in group if one.without]
    return Summary(
        case=case,
        way=way,
        runs=len(group),
        results=sorted({one.result for one in group}),
        seconds=seconds,
        limit=_median(group, lambda one: one.limit),
        ratio=_median(group, lambda one: one.ratio),
        imports_ratio=_median(group, lambda one: one.seconds / one.imports),
        times_hook=seconds / _median(hook, lambda one: one.seconds),
        first_act=_median(group, lambda one: one.first_act),
        slowest=_median(group, lambda one: one.during.slowest),
        slowest_without=median(one.slowest for one in without) if without else None,
        p99=_median(group, lambda one: one.during.p99),
        p99_without=median(one.p99 for one in without) if without else None,
        requests=sum(one.during.count for one in group),
        failed=sum(one.during.failed for one in group),
        roller_cpu=cpu,
        cpu_of_hook=cpu / _median(hook, lambda one: one.roller_cpu),
        roller_memory=max(one.roller_memory for one in group),
        roller_idle=_median_known(one.roller_idle for one in group),
        emperor_cpu=_median_known(one.emperor_cpu for one in group),
        stages={stage: _median(group, lambda one: one.stages[stage]) for stage in STAGES if stage in group[0].stages},  # noqa: B023
    )


def _median(group: Iterable[Sample], value: Callable[[Sample], float]) -> float:
    return median(value(one) for one in group)


def _median_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


HEAD = [
    *("case", "way", "runs", "roll s", "limit s", "x limit", "x imports", "x hook", "first act s", "slowest ms"),
    *("p99 ms", "failed", "CPU s", "x hook", "peak MB", "Emperor s"),
]


def table(cases: Sequence[Case], summaries: Sequence[Summary]) -> str:
    """Every way beside the others; `a / b` are the requests during the roll and without one."""
    rows = [HEAD, *(_row(one) for one in summaries)]
    titles = [
        f"{case.name}: {case.title}; the limit is {case.waves} x what it takes from its process to the loaded "
        "application when it starts alone"
        for case in cases
    ]
    stages = [["case", "way", *(f"{stage} s" for stage in STAGES)]]
    stages += [
        [one.case, one.way, *(f"{one.stages[stage]:.3f}" for stage in STAGES)] for one in summaries if one.stages
    ]
    idle = [one.roller_idle for one in summaries if one.way == HOOK and one.roller_idle is not None]
    notes = [f"between rolls this hook uses {max(idle):.3%} of a core"] if idle else []
    return "\n".join([*titles, "", align(rows), "", "where one vassal's time goes", align(stages), *notes])


def _row(one: Summary) -> list[str]:
    done = one.results == ["done"]
    return [
        one.case,
        one.way if done else f"{one.way} ({', '.join(one.results)})",
        str(one.runs),
        f"{one.seconds:.2f}",
        f"{one.limit:.2f}",
        f"{one.ratio:.3f}",
        f"{one.imports_ratio:.3f}",
        f"{one.times_hook:.2f}",
        f"{one.first_act:.3f}",
        _pair(one.slowest, one.slowest_without),
        _pair(one.p99, one.p99_without),
        f"{one.failed} of {one.requests}",
        f"{one.roller_cpu:.2f}",
        f"{one.cpu_of_hook:.1f}",
        f"{one.roller_memory / 2**20:.0f}",
        "-" if one.emperor_cpu is None else f"{one.emperor_cpu:.3f}",
    ]


def _pair(during: float, without: float | None) -> str:
    return f"{during * 1000:.0f} / {'-' if without is None else f'{without * 1000:.0f}'}"


def align(rows: Rows) -> str:
    """Columns as wide as their widest cell: text to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if index < 2 else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
