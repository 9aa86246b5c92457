"""Draw quality against time and coverage by flexibility, from the rows of the benchmark.

    molgen benchmark conformers data/ensembles/test --n 200      # makes the rows
    python -m benchmarks conformers-plot

Reads benchmarks/data/conformers_benchmark.csv; writes docs/conformers.png.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

ROOT = Path(__file__).resolve().parents[1]

FAMILIES = {
    "calls": ("tab:blue", "o", "molgen: number of calls"),
    "noise": ("tab:cyan", "s", "… all from noise"),
    "etkdg": ("tab:purple", "v", "… all from embeddings"),
    "mmff": ("tab:green", "^", "with MMFF94s"),
    "other": ("tab:orange", "D", "others"),
}
TICKS = (5, 10, 20, 40)
BINS = ((0, 2), (3, 4), (5, 6), (7, 20))
CURVES = ("1 calls", "8 calls", "ETKDGv3", "ETKDGv3 + MMFF94s")


def add_options(parser: argparse.ArgumentParser) -> None:
    rows = ROOT / "benchmarks" / "data" / "conformers_benchmark.csv"
    parser.add_argument("rows", type=Path, nargs="?", default=rows)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "conformers.png")


def main(options: argparse.Namespace) -> None:
    made: dict[str, list[dict[str, str]]] = defaultdict(list)
    with options.rows.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            made[row["generator"]].append(row)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8))
    seen = set()
    for name, rows in made.items():
        colour, marker, label = FAMILIES[family(name)]
        known = None if label in seen else label
        seen.add(label)
        time = each_ms(rows)
        for axis, column in ((left, "amr_r"), (middle, "amr_p")):
            axis.scatter(time, mean(rows, column), color=colour, marker=marker, label=known)
            short = name.partition(" from ")[0].replace(" calls", "")
            place = (time, mean(rows, column))
            axis.annotate(short, place, fontsize=7, xytext=(5, 3), textcoords="offset points")
    for axis, what in ((left, "recall"), (middle, "precision")):
        axis.set(xscale="log", xlabel="CPU ms a conformer", ylabel=f"{what}: AMR, Å", title=what)
        axis.set_xticks(TICKS, [str(one) for one in TICKS])
        axis.minorticks_off()
    left.legend(fontsize=7)
    for name in (one for one in CURVES if one in made):
        right.plot(range(len(BINS)), by_flexibility(made[name]), marker="o", label=name)
    ticks = [f"{low}–{high}" if high < 20 else f"{low}+" for low, high in BINS]
    right.set_xticks(range(len(BINS)), ticks)
    right.set(xlabel="rotatable bonds", ylabel="recall: coverage at 0.75 Å", title="flexibility")
    right.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(options.out, dpi=110)


def family(name: str) -> str:
    """Which kind of generator a name is of."""
    if "MMFF" in name:
        return "mmff"
    if " from " in name:
        return name.rsplit(" ", 1)[1]
    return "calls" if "calls" in name else "other"


def mean(rows: list[dict[str, str]], column: str) -> float:
    """Over molecules that have a value."""
    return float(np.nanmean([float(row[column] or "nan") for row in rows]))


def each_ms(rows: list[dict[str, str]]) -> float:
    """Time of all molecules, failed ones too, by the number of conformers."""
    n, ms = np.array([[float(row["conformers"]), float(row["ms"] or 0)] for row in rows]).T
    return float((np.maximum(n, 1) * ms).sum() / n.sum())


def by_flexibility(rows: list[dict[str, str]]) -> list[float]:
    """Mean coverage of molecules with so many rotatable bonds."""
    bonds = [
        rdMolDescriptors.CalcNumRotatableBonds(Chem.MolFromSmiles(row["smiles"])) for row in rows
    ]
    covered = [float(row["cov_r@0.75"] or 0) for row in rows]
    return [
        float(
            np.mean(
                [c for c, n in zip(covered, bonds, strict=True) if low <= n <= high] or [np.nan]
            )
        )
        for low, high in BINS
    ]
