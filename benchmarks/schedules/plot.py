"""Plots of the schedule benchmark: native against constant total variance, and the default plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from benchmarks.schedules.cells import DEFAULT
from benchmarks.schedules.table import Row, number, way_of

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

COLOURS = {"smld": "#c8553d", "edm-ut": "#3d7ea6", "otflow": "#6a994e"}
"""Exploding schedules of the comparison (and the straight line of flow matching)."""

NAMES = {"smld": "SMLD", "edm-ut": "EDM", "otflow": "OT flow"}

INK, GREY = "#222222", "#8a8a8a"

PANELS = (
    ("perceived_valid", "validity from coordinates", "rate"),
    ("connected_valid", "connected validity (decoded)", "rate"),
    ("bond_graph_stable_raw", "bond graph stable (undecoded)", "rate"),
    ("edm_stable", "stable by distance table", "rate"),
    ("ob_stable", "stable by Open Babel, strict", "rate"),
    ("length_w1", "bond lengths, W₁ (Å)", "distance"),
    ("angle_w1", "angles, W₁ (°)", "distance"),
    ("torsion_w1", "torsions, W₁ (°)", "distance"),
    ("element_tv", "elements, total variation", "distance"),
)
"""Column, title and kind of every panel."""

CAPS = {"length_w1": 1.0}
"""Where an axis ends although points lie beyond; their largest is written at the edge."""


@dataclass(frozen=True)
class Line:
    """One way of sampling, as it is drawn.

    Attributes:
        way: Schedule, total variance and solver.
        colour: Its colour.
        style: Solid for constant total variance, dashed for the native one.
        width: In points.
    """

    way: tuple[str, str, str]
    colour: str
    style: str = "-"
    width: float = 1.6


LINES = (
    *(Line((name, "native", "euler"), colour, "--") for name, colour in COLOURS.items()),
    *(Line((name, "const", "euler"), colour) for name, colour in COLOURS.items()),
    Line((DEFAULT, "-", DEFAULT), INK, width=2.6),
)


def draw(axes: Axes, rows: Sequence[Row], column: str, kind: str) -> None:
    """Every line over the number of calls, rates with their intervals."""
    lowest = []
    for line in LINES:
        points = sorted(
            (int(row["steps"]), row) for row in rows if way_of(row) == line.way and row.get(column)
        )
        if not points:
            continue
        x = [steps for steps, _ in points]
        y = [number(row, column) for _, row in points]
        lowest.append(min(y))
        marker = "o" if line.style == "-" else "s"
        face = line.colour if line.style == "-" else "white"
        axes.plot(
            x, y, line.style, color=line.colour, lw=line.width, marker=marker, ms=4.5, mfc=face,
            zorder=3 if line.way[0] == DEFAULT else 2,
        )  # fmt: skip
        if kind == "rate":
            low, high = (
                [number(row, f"{column}{end}") for _, row in points] for end in ("_low", "_high")
            )
            axes.fill_between(x, low, high, color=line.colour, alpha=0.10, lw=0)
        if max(y) > CAPS.get(column, max(y)):
            _point_beyond(axes, x[y.index(max(y))], max(y), CAPS[column], line.colour)
    style(axes, kind, sorted({int(row["steps"]) for row in rows}))
    if column in CAPS and lowest:
        axes.set_ylim(0.7 * min(lowest), CAPS[column])


def _point_beyond(axes: Axes, x: float, y: float, top: float, colour: str) -> None:
    axes.annotate(
        f"\u2191 {y:.2g}" if y < 10 else f"\u2191 {y:,.0f}", (x, top), (0, -2), fontsize=8,
        textcoords="offset points", color=colour, ha="center", va="top",
        bbox={"fc": "white", "ec": "none", "pad": 1},
    )  # fmt: skip


def style(axes: Axes, kind: str, steps: Sequence[int]) -> None:
    """Scales, ticks and a light grid."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(steps)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    if kind == "rate":
        axes.set_ylim(-0.02, 1.02)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(_two_and_five))
    axes.grid(axis="y", color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=8.5, length=3, which="both")


def _two_and_five(value: float, _: int) -> str:
    digits = f"{value:.0e}"[0]
    return f"{value:g}" if digits in "25" else ""


def legend(figure: plt.Figure, n_rows: int = 1) -> None:
    """One legend for all panels: hue for the schedule, stroke for the total variance."""
    keys = [
        Line2D([], [], color=INK, lw=2.6, marker="o", ms=4.5, label="molgen's default plan"),
        *(
            Line2D([], [], color=colour, lw=3, label=f"{NAMES[name]} schedule, Euler")
            for name, colour in COLOURS.items()
        ),
        Line2D([], [], color=GREY, lw=1.6, marker="o", ms=4.5, label="constant variance"),
        Line2D(
            [], [], color=GREY, lw=1.6, ls="--", marker="s", mfc="white", ms=4.5,
            label="native variance",
        ),
    ]  # fmt: skip
    figure.legend(
        handles=keys, loc="lower center", ncols=-(-len(keys) // n_rows), frameon=False, fontsize=8.5
    )


def plot_main(rows: Sequence[Row], stem: Path, real: float | None) -> None:
    """Validity from coordinates and the distance of bond lengths, side by side.

    Args:
        rows: Measurements, one per way and number of calls.
        stem: File name without suffix; PNG and SVG are written.
        real: Validity of real molecules, for a line; None for no line.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4))
    draw(left, rows, "perceived_valid", "rate")
    draw(right, rows, "length_w1", "distance")
    left.set_title("valid from coordinates alone (RDKit)", fontsize=10, loc="left", color=INK)
    right.set_title("bond lengths: distance from QM9, W₁ in Å", fontsize=10, loc="left", color=INK)
    for axes in (left, right):
        axes.set_xlabel("network calls per molecule", fontsize=9, color=INK)
    if real is not None:
        left.axhline(real, color=GREY, lw=1, ls=":")
        left.annotate(
            "real QM9", (1, real), xycoords=("axes fraction", "data"), fontsize=8, color=GREY,
            ha="right", va="bottom",
        )  # fmt: skip
    legend(figure, n_rows=2)
    figure.tight_layout(rect=(0, 0.12, 1, 1), w_pad=2.5)
    save(figure, stem)


def plot_panels(rows: Sequence[Row], stem: Path) -> None:
    """One panel per score."""
    figure, grid = plt.subplots(3, 3, figsize=(11, 9.4), sharex=True)
    for axes, (column, title, kind) in zip(grid.flat, PANELS, strict=True):
        draw(axes, rows, column, kind)
        axes.set_title(title, fontsize=9.5, loc="left", color=INK)
    for axes in grid[-1]:
        axes.set_xlabel("network calls per molecule", fontsize=9, color=INK)
    legend(figure)
    figure.tight_layout(rect=(0, 0.04, 1, 1), h_pad=1.8, w_pad=2)
    save(figure, stem)


def save(figure: plt.Figure, stem: Path) -> None:
    """PNG for pages, SVG for print."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "molgen"}):
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"), dpi=160)
    plt.close(figure)
