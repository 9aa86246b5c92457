"""Draw the loss terms and validation samples of a run, or of runs that follow each other.

python -m benchmarks training-curves runs/qm9 runs/qm9-restart --out docs/qm9_training.png
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

TERMS = ("pos", "bond", "element", "distance")
Columns: TypeAlias = dict[str, list[float]]

SCORES = ("bond_graph_atom_stable", "edm_atom_stable", "bond_graph_stable", "edm_stable")


def columns(path: Path) -> Columns:
    """A CSV file of numbers by column; empty cells are NaN."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def joined(runs: Sequence[Path]) -> tuple[Columns, Columns, list[float]]:
    """Losses and samples of runs one after another, and the molecules seen before each."""
    losses: Columns = {}
    samples: Columns = {}
    starts = []
    for run in runs:
        starts.append(losses["molecules"][-1] if losses else 0.0)
        for name, table in (("losses", losses), ("samples", samples)):
            path = run / f"{name}.csv"
            if not path.is_file():
                continue
            for column, values in columns(path).items():
                shift = starts[-1] if column == "molecules" else 0.0
                table.setdefault(column, []).extend(value + shift for value in values)
    return losses, samples, starts


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", help="each starts from the one before it")
    parser.add_argument("--out", type=Path, default=Path("training.png"))


def main(options: argparse.Namespace) -> None:
    """Read, draw, save."""
    losses, samples, starts = joined(options.runs)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for term in TERMS:
        left.plot([m / 1e3 for m in losses["molecules"]], losses[term], label=term)
    left.set(yscale="log", xlabel="thousand molecules seen", ylabel="loss term")
    left.legend(frameon=False)
    for score in SCORES:
        thousands = [m / 1e3 for m in samples["molecules"]]
        right.plot(thousands, samples[score], marker="o", label=score)
    right.set(xlabel="thousand molecules seen", ylabel="fraction, 8 calls, argmax", ylim=(0, 1))
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        for start in starts[1:]:
            axes.axvline(start / 1e3, color="0.7", linewidth=1, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=120)
