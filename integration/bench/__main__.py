"""Measure rolls on a real site: a table on the terminal, JSON on disk, pictures beside it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from integration.bench import report, scale
from integration.bench.cases import CASES, HOOK, HOOKS, OLD, QUICK, SCALE, Case
from integration.bench.lanes import Lanes, watch
from integration.bench.measure import Sample, measure
from integration.bench.sites import site
from integration.farm import UWSGI

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Findings:
    """All that was measured so far."""

    host: dict[str, object]
    cases: list[Case] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    watched: list[tuple[Case, list[Lanes]]] = field(default_factory=list)
    points: list[scale.Point] = field(default_factory=list)

    def write(self, path: Path) -> None:
        document = {
            "schema": 1,
            "host": self.host,
            "summaries": [asdict(one) for one in report.summarise(self.samples)],
            "samples": [asdict(one) for one in self.samples],
            "scale": [asdict(point) | {"emperor_share": point.emperor_share} for point in self.points],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")

    def table(self) -> str:
        parts = []
        if self.samples:
            parts.append(report.table(self.cases, report.summarise(self.samples)))
        if self.points:
            parts.append(f"growth with the number of vassals\n{scale.table(self.points)}")
        return "\n\n".join(parts)

    def draw(self, directory: Path) -> list[Path]:
        # What starts processes has to be small, so this is imported when all is measured.
        from integration.bench import picture  # noqa: PLC0415

        paths = []
        for case, lanes in self.watched:
            limit = min(sample.limit for sample in self.samples if sample.case == case.name)
            paths += picture.roll(case, limit, lanes, directory / f"roll-{case.name}")
        return paths + (picture.scale(self.points, directory / "scale") if self.points else [])


def main(arguments: Sequence[str] | None = None) -> None:
    given = _arguments(arguments)
    findings = Findings(_host())
    for case in CASES:
        if case.name in given.case:
            _measure(findings, case, given.runs)
            # Written after every case: the whole takes long enough to be interrupted.
            findings.write(given.output)
    if SCALE in given.case:
        for vassals in scale.SIZES:
            _say(f"scale: {vassals} vassals")
            findings.points.append(scale.measure(vassals))
        findings.write(given.output)
    paths = [given.output, *findings.draw(given.output.parent)]
    sys.stdout.write("\n".join(["", findings.table(), "", *map(str, paths), ""]))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*(case.name for case in CASES), SCALE]
    parser = argparse.ArgumentParser(prog="python -m integration.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rolls of each way, in alternation (default 5)")
    parser.add_argument("--case", action="append", choices=names, help="only this one; may repeat")
    parser.add_argument("--quick", action="store_true", help=f"one run of {QUICK.name} only")
    output = Path("build/bench/bench.json")
    parser.add_argument("--output", type=Path, default=output, help=f"the JSON file (default {output})")
    given = parser.parse_args(arguments)
    if given.runs < 1:
        parser.error("--runs: at least 1")
    if given.output.is_dir():
        parser.error(f"--output: {given.output} is a directory")
    if given.quick:
        given.runs, given.case = 1, given.case or [QUICK.name]
    given.case = given.case or names
    return given


def _measure(findings: Findings, case: Case, runs: int) -> None:
    """All runs of a case. Its sites stand side by side, and one at a time gets requests and is rolled."""
    with ExitStack() as stack:
        sites = {way: stack.enter_context(site(way, case)) for way in case.ways}
        for run in range(runs):
            turn = run % len(case.ways)
            for way in (*case.ways[turn:], *case.ways[:turn]):
                if case.measures(way, run):
                    # As long again without a roll: for this hook each time, for what is beside it once.
                    sample = measure(sites[way], way, run, compare=way in HOOKS or run == 0)
                    findings.samples.append(sample)
                    _say(f"{case.name} run {run + 1}: {way}: {sample.seconds:.2f} s, {sample.ratio:.3f} x the limit")
        if case.pictured:
            findings.watched.append((case, [watch(sites[way], way) for way in (HOOK, OLD)]))
    findings.cases.append(case)


def _host() -> dict[str, object]:
    uwsgi = subprocess.run([UWSGI, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "uwsgi": uwsgi,
    }


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    main()
