"""Rows of `benchmarks.images.measure`: their file, table, plot and sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean, stdev

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, ScalarFormatter

from benchmarks.schedules.table import append_row, read_rows
from molgen.images.frechet import NAME

REAL = "real test images"

SIDE_BY_SIDE = tuple(
    (method, asked)
    for asked in (4, 8)
    for method in (
        "Euler, VP-ISSNR(1, 0)", "DDIM, Karras", "UniPC-2, VP-ISSNR(1, 0)", "default plan"
    )
)  # fmt: skip
"""Rows whose samples are shown together."""


@dataclass(frozen=True)
class Row:
    """One result; ``asked`` is the budget of network calls, ``nfe`` what the method made of it."""

    method: str
    asked: int
    nfe: int
    n: int
    seed: int
    frechet: float
    seconds: float


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Cell:
    """Rows of one method and budget.

    Attributes:
        asked: Budget of network calls.
        nfe: Calls made.
        mean: Mean distance over the seeds.
        error: Its standard error; None with one seed.
    """

    asked: int
    nfe: int
    mean: float
    error: float | None

    def __str__(self) -> str:
        """As tables show it; the calls made stand in brackets where they differ."""
        error = "" if self.error is None else f" ± {self.error:.1f}"
        made = "" if self.nfe == self.asked else f" ({self.nfe})"
        return f"{self.mean:.1f}{error}{made}"


def read(path: Path) -> list[Row]:
    """Rows of an earlier run."""
    return [
        Row(
            line["method"],
            *(int(line[name]) for name in ("asked", "nfe", "n", "seed")),
            *(float(line[name]) for name in ("frechet", "seconds")),
        )
        for line in read_rows(path, COLUMNS)
    ]


def append(path: Path, row: Row) -> None:
    """One more row, on disk at once."""
    append_row(path, COLUMNS, {name: str(value) for name, value in vars(row).items()})


def cells(rows: list[Row], seeds: Sequence[int]) -> dict[str, dict[int, Cell]]:
    """Means over the seeds by method and budget; what lacks a seed is left out."""
    table: dict[str, dict[int, Cell]] = {}
    for method, asked in dict.fromkeys((row.method, row.asked) for row in rows):
        found = {row.seed: row for row in rows if (row.method, row.asked) == (method, asked)}
        if not set(seeds) <= set(found):
            continue
        values = [found[seed].frechet for seed in seeds]
        error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        cell = Cell(asked, found[seeds[0]].nfe, mean(values), error)
        table.setdefault(method, {})[asked] = cell
    return table


def write_table(path: Path, rows: list[Row], seeds: Sequence[int]) -> None:
    """Methods down, budgets across."""
    table = cells(rows, seeds)
    real = table.pop(REAL, {}).get(0)
    budgets = sorted({asked for cells in table.values() for asked in cells})
    sizes = " and ".join(sorted({str(row.n) for row in rows}))
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"each of seeds {', '.join(map(str, seeds))}"
    lines = [
        f"{NAME}, {sizes} images of {which} against 10,000 training images (not an FID).",
        "",
        "| network calls | " + " | ".join(map(str, budgets)) + " |",
        "| --- |" + " ---: |" * len(budgets),
    ]
    for method, found in table.items():
        values = [str(found.get(asked, "")) for asked in budgets]
        lines.append(f"| {method} | " + " | ".join(values) + " |")
    if real is not None:
        lines += ["", f"As many {REAL}: {real}."]
    path.write_text("\n".join(lines) + "\n")


def draw_plot(path: Path, rows: list[Row], seeds: Sequence[int]) -> None:
    """Distance over network calls, both logarithmic; bars are standard errors."""
    figure, axes = plt.subplots(figsize=(8, 5))
    table = cells(rows, seeds)
    real = table.pop(REAL, {}).get(0)
    for index, (method, found) in enumerate(table.items()):
        line = sorted(found.values(), key=lambda cell: cell.nfe)
        axes.errorbar(
            [cell.nfe for cell in line],
            [cell.mean for cell in line],
            [cell.error for cell in line] if len(seeds) > 1 else None,
            marker="o", ms=3, capsize=2, ls=("-", "--", ":")[index // 10], label=method,
        )  # fmt: skip
    if real is not None:
        axes.axhline(real.mean, color="black", lw=0.8, ls=":", label=REAL)
    axes.set(xscale="log", yscale="log", xlabel="network calls", ylabel=NAME)
    axes.set_xticks(sorted({cell.asked for found in table.values() for cell in found.values()}))
    axes.set_yticks([200, 300, 400, 600, 1000, 2000])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def sample_path(folder: Path, method: str, asked: int) -> Path:
    """Where the sheet of a row lies."""
    name = "".join(c if c.isalnum() else "-" for c in method.lower())
    return folder / f"{name}-{asked}.png"


def write_methods(folder: Path) -> None:
    """Half a sheet of each of ``SIDE_BY_SIDE``, budgets down; nothing while one is missing."""
    sheets = {pair: sample_path(folder, *pair) for pair in SIDE_BY_SIDE}
    if not all(sheet.exists() for sheet in sheets.values()):
        return
    figure, places = plt.subplots(2, len(SIDE_BY_SIDE) // 2, figsize=(13, 4.2))
    for axes, ((method, asked), sheet) in zip(places.flat, sheets.items(), strict=True):
        pixels = plt.imread(sheet)
        axes.imshow(pixels[: len(pixels) // 2])
        axes.set_title(f"{method}, {asked} calls", fontsize=9)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(folder / "methods.png", dpi=110)
    plt.close(figure)
