"""The figure of the results page: three rates over the number of network calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from plot_schedules import GREY, INK, plt, style
from results_points import Point

from molgen.eval.rate import Rate

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
        _real_line(axes, real, REAL.get(column, column))
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


def _real_line(axes: Axes, real: Sequence[Point], column: str) -> None:
    rates: list[Rate] = [rate for point in real if (rate := point.rate(column)) is not None]
    if not rates:
        return
    axes.axhline(rates[0].value, color=GREY, lw=1.2, ls="--")
    axes.annotate(
        f"{rates[0].value:.3f}", (0, rates[0].value), xycoords=("axes fraction", "data"),
        xytext=(3, 2), textcoords="offset points", fontsize=8, color=GREY, va="bottom",
    )  # fmt: skip


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
