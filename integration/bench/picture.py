"""The pictures. Only here is matplotlib imported, and only when everything has been measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from integration.bench.cases import Case
    from integration.bench.lanes import Lanes
    from integration.bench.scale import Point

COLOURS = {
    "pending": "#d9dde3",
    "draining": "#f2c14e",
    "touched": "#f08a4b",
    "restarting": "#d1495b",
    "warming": "#5b8db8",
    "done": "#66a182",
    "failed": "#222222",
}
LABELS = {
    "pending": "pending: serves the old code",
    "draining": "draining: unsubscribed",
    "touched": "touched: until the Emperor notices",
    "restarting": "restarting: loads the application",
    "warming": "warming: accepts, not subscribed yet",
    "done": "done: serves the new code",
    "failed": "failed",
}
LANE, COUNT, GAP = 0.16, 0.9, 0.55


def roll(case: Case, limit: float, shown: Sequence[Lanes], stem: Path) -> list[Path]:
    """One way above the other on one axis of time: a lane for each vassal, and how many serve under the lanes."""
    lane_height = max(case.vassals * LANE, 1.2)
    heights = [lane_height, COUNT] * len(shown)
    figure = Figure(figsize=(11, sum(heights) + GAP * len(heights) + 0.9), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    end = max(lanes.seconds for lanes in shown) * 1.02
    for lanes, upper, lower in zip(shown, axes[::2], axes[1::2], strict=True):
        _lanes(upper, lanes, limit)
        _serving(lower, lanes, case, end)
    axes[-1].set_xlim(0, end)
    axes[-1].set_xlabel("seconds since the touch of the trigger, or the start of the script")
    figure.suptitle(case.title)
    used = {phase for lanes in shown for spells in lanes.vassals.values() for _, _, phase in spells}
    handles = [Patch(color=COLOURS[phase], label=LABELS[phase]) for phase in COLOURS if phase in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return _save(figure, stem)


def _lanes(axes: Axes, lanes: Lanes, limit: float) -> None:
    for row, spells in enumerate(lanes.vassals.values()):
        spans = [(begin, end - begin) for begin, end, _ in spells]
        axes.broken_barh(spans, (row - 0.42, 0.84), facecolors=[COLOURS[phase] for _, _, phase in spells])
    names = [vassal.removesuffix(".ini") for vassal in lanes.vassals]
    step = 1 if len(names) <= 16 else 4
    axes.set_yticks(range(0, len(names), step), names[::step], fontsize="x-small")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(limit, color="black", linewidth=1, linestyle="--")
    axes.set_title(
        f"{lanes.way}: {lanes.seconds:.2f} s, {lanes.seconds / limit:.2f} x the limit of {limit:.2f} s (dashed)",
        loc="left",
        fontsize="medium",
    )


def _serving(axes: Axes, lanes: Lanes, case: Case, end: float) -> None:
    times = [when for when, _ in lanes.serving]
    counts = [count for _, count in lanes.serving]
    axes.step([*times, end], [*counts, counts[-1]], where="post", color="#22577a")
    axes.fill_between([*times, end], [*counts, counts[-1]], step="post", color="#22577a", alpha=0.15)
    axes.axhline(case.minimum, color="#d1495b", linewidth=1, linestyle=":")
    axes.set_ylim(0, case.vassals * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_ylabel("serving", fontsize="small")
    axes.annotate(
        f"minimum {case.minimum}",
        (end, case.minimum),
        (-4, 2),
        textcoords="offset points",
        ha="right",
        fontsize="x-small",
    )


def scale(points: Sequence[Point], stem: Path) -> list[Path]:
    """How the costs grow with the number of vassals, each beside the straight line through its largest value."""
    panels = (
        (
            "the hook's CPU for one look, ms",
            {"none in flight": "look", "half in flight": "busy_look", "the very first": "first_look"},
            1e3,
        ),
        ("one plan(), ms", {"half in flight": "plan"}, 1e3),
        ("the hook's CPU for one roll, s", {"minimum 50%": "roll_cpu"}, 1.0),
        ("share of the Emperor's time, %", {"while a roll runs": "emperor_share"}, 1e2),
    )
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    sizes = [point.vassals for point in points]
    for axes, (title, lines, unit) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for label, name in lines.items():
            values = [getattr(point, name) * unit for point in points]
            (line,) = axes.plot(sizes, values, marker="o", label=label)
            axes.plot(sizes, [values[-1] * size / sizes[-1] for size in sizes], color=line.get_color(), ls=":", lw=1)
        if title.startswith("share"):
            axes.axhline(20, color="#d1495b", lw=1, ls="--", label="a fifth: what may not be exceeded")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xlabel("vassals", fontsize="small")
        axes.set_title(title, loc="left", fontsize="medium")
        axes.legend(frameon=False, fontsize="small")
    figure.suptitle("Growth with the number of vassals (dotted: a straight line through the largest)")
    return _save(figure, stem)


def _save(figure: Figure, stem: Path) -> list[Path]:
    # The same figures give the same file: no date, no random ids.
    mpl.rcParams["svg.hashsalt"] = stem.name
    paths = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=110)
    return paths
