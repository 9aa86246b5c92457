"""Draw a run's loss terms and validation samples over the molecules it has seen.

python scripts/plot_training.py runs/qm9 --out docs/qm9_training.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

TERMS = ("pos", "bond", "element", "distance")
SCORES = ("bond_graph_atom_stable", "edm_atom_stable", "bond_graph_stable", "edm_stable")


def columns(path: Path) -> dict[str, list[float]]:
    """A CSV file of numbers by column; empty cells are NaN."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def main() -> None:
    """Read, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("training.png"))
    options = parser.parse_args()
    losses, samples = (columns(options.run / f"{name}.csv") for name in ("losses", "samples"))
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
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=120)


if __name__ == "__main__":
    main()
