"""The figure of the results page: three rates over the number of network calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from benchmarks.schedules.plot import GREY, INK, plt, style
from benchmarks.results.points import Point

from molgen.metrics.rate import Rate

PANELS = (
    ("perceived_valid", "valid from coordinates alone (RDKit)"),
    ("edm_stable", "every atom stable by distance (EDM)"),
    ("bond_graph_stable_raw", "bond graph stable, undecoded"),
)
"""Column and title of each panel."""

REAL = {"bond_graph_stable_raw": "bond_graph_stable"}
"""Real molecules have no state before decoding; their own bonds stand in."""

COLOURS = ("#222222", "#c8553d", "#3d7ea6", "#6a994e", "#8d6a9f", "#c9a227")


def plot_results(models: Sequence[Point], real: Sequence[Point], path: Path) -> None:
    """Draw one line per set of weights with its 95 % band, and real molecules dashed.

    Args:
        models: Points of one or more sets of weights.
        real: Real molecules; each panel takes the first that has its rate.
        path: PNG file.
    """
    names = list(dict.fromkeys(point.name for point in models))
    steps = sorted({point.calls for point in models if point.calls is not None})
    figure, row = plt.subplots(1, len(PANELS), figsize=(11.4, 4.0), sharey=True)
    for axes, (column, title) in zip(row, PANELS, strict=True):
        for place, name in enumerate(names):
            _line(axes, [point for point in models if point.name == name], column, place)
        _real_line(axes, real, models, column)
        style(axes, "rate", steps)
        axes.set_ylim(-0.015, 1.06)
        axes.set_title(title, fontsize=10, loc="left", color=INK)
        axes.set_xlabel("network calls per molecule", fontsize=9, color=INK)
    row[0].set_ylabel("fraction of all molecules", fontsize=9, color=INK)
    keys = [
        Line2D([], [], color=_colour(place), lw=2, marker="o", ms=4.5, label=name.strip("`"))
        for place, name in enumerate(names)
    ]
    keys.append(Line2D([], [], color=GREY, lw=1.2, ls="--", label="real QM9"))
    figure.legend(handles=keys, loc="lower center", ncols=len(keys), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=1.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _line(axes: Axes, points: Sequence[Point], column: str, place: int) -> None:
    found = [(point.calls, point.rate(column)) for point in points]
    known = [(calls, rate) for calls, rate in found if rate is not None and rate.n]
    if not known:
        return
    calls = [calls for calls, _ in known]
    low, high = zip(*(rate.interval for _, rate in known), strict=True)
    colour = _colour(place)
    axes.fill_between(calls, low, high, color=colour, alpha=0.18, lw=0)
    axes.plot(calls, [rate.value for _, rate in known], color=colour, lw=2, marker="o", ms=4.5)


def _real_line(axes: Axes, real: Sequence[Point], models: Sequence[Point], column: str) -> None:
    of_real = REAL.get(column, column)
    rates: list[Rate] = [rate for point in real if (rate := point.rate(of_real)) is not None]
    if not rates:
        return
    value = rates[0].value
    axes.axhline(value, color=GREY, lw=1.2, ls="--")
    # Its value stands at the left, on the side of the line where no model's line begins.
    fewest = min((point.calls for point in models if point.calls is not None), default=None)
    firsts = [point.rate(column) for point in models if point.calls == fewest]
    below = any(rate is not None and rate.n and rate.value > value for rate in firsts)
    axes.annotate(
        f"{value:.3f}", (0, value), xycoords=("axes fraction", "data"),
        xytext=(3, -3 if below else 2), textcoords="offset points", fontsize=8, color=GREY,
        va="top" if below else "bottom",
    )  # fmt: skip


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
