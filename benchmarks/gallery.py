"""Draw the first molecules of an SDF file as balls and sticks, for people who would rather look.

    python -m benchmarks gallery molecules.sdf --out docs/molecules.png --rows 4 --columns 6

Each molecule is turned so that its widest plane faces the reader; nearer atoms are drawn over
farther ones. A molecule that failed its checks is drawn too, with its reason in red. Molecules
around a scaffold are drawn in one frame, that of the scaffold, whose atoms get a halo:

    python -m benchmarks gallery completed.sdf --scaffold core.sdf --out docs/scaffolds.png
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from molgen.chem.constitution import constitution
from molgen.chem.io import Record, read_records
from molgen.chem.molecule import Molecule

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {1: "#f2f2f2", 6: "#4a4a4a", 7: "#3d6ff0", 8: "#e8402c", 9: "#55c83c"}
RADII = {1: 0.22, 6: 0.36, 7: 0.35, 8: 0.34, 9: 0.32}
OFFSETS = {1: (0.0,), 2: (-0.16, 0.16), 3: (-0.22, 0.0, 0.22), 4: (-0.16, 0.16)}
"""Lateral offsets (Å) of the sticks of a bond, by bond class."""

HEIGHT = 0.8
"""Of a panel, in units of its width."""

LABEL = 30
"""Longest text under a molecule."""


@dataclass(frozen=True)
class View:
    """How molecules are turned.

    Attributes:
        scaffold: Positions (Å) whose plane faces the reader; None for each molecule's own.
    """

    scaffold: np.ndarray | None = None

    @property
    def n_marked(self) -> int:
        """Atoms that get a halo: the first ones, where there is a scaffold."""
        return 0 if self.scaffold is None else len(self.scaffold)

    def of(self, molecule: Molecule) -> np.ndarray:
        """Positions turned so that the two widest directions are x and y."""
        pos = molecule.pos.astype(np.float64)
        frame = pos if self.scaffold is None else self.scaffold
        _, _, axes = np.linalg.svd(frame - frame.mean(axis=0), full_matrices=False)
        return (pos - pos.mean(axis=0)) @ axes.T


def extent(pos: np.ndarray) -> float:
    """Half the width (Å) of a panel that shows all positions."""
    return float(np.abs(pos[:, :2] / (1.0, HEIGHT)).max())


def draw(axes: Axes, molecule: Molecule, view: View) -> None:
    """Draw one molecule into a panel."""
    pos = view.of(molecule)
    depth = pos[:, 2]
    for place in pos[: view.n_marked]:
        halo = plt.Circle(place[:2], 0.62, facecolor="#ffe9a8", lw=0, zorder=depth.min() - 1)
        axes.add_patch(halo)
    for begin, end, order in molecule.bonds.tolist():
        along = pos[end, :2] - pos[begin, :2]
        side = np.array([-along[1], along[0]]) / max(np.linalg.norm(along), 1e-6)
        middle = (pos[begin, :2] + pos[end, :2]) / 2
        for offset in OFFSETS[order]:
            for atom in (begin, end):
                ends = np.stack([pos[atom, :2], middle]) + side * offset
                colour = COLOURS.get(int(molecule.atomic_numbers[atom]), "#c060c0")
                z = min(depth[begin], depth[end])
                axes.plot(*ends.T, color="#303030", lw=2.6, zorder=z, solid_capstyle="butt")
                axes.plot(*ends.T, color=colour, lw=1.5, zorder=z + 1e-3, solid_capstyle="butt")
    for atom in np.argsort(depth):
        number = int(molecule.atomic_numbers[atom])
        ball = plt.Circle(
            pos[atom, :2],
            RADII.get(number, 0.4),
            facecolor=COLOURS.get(number, "#c060c0"),
            edgecolor="#303030",
            lw=0.7,
            zorder=depth[atom] + 0.1,
        )
        axes.add_patch(ball)


def panel(axes: Axes, record: Record | None, reach: float, view: View) -> None:
    """One record, or an empty panel."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach * HEIGHT, reach * HEIGHT)
    if record is None or record.molecule is None:
        return
    draw(axes, record.molecule, view)
    reason = record.tags.get("molgen_reason", "")
    text = reason or (constitution(record.mol) if record.mol else record.title)
    text = text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"
    axes.set_title(text, fontsize=6, color="#c02020" if reason else "#202020", y=-0.06)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sdf", type=Path)
    parser.add_argument("--out", type=Path, default=Path("molecules.png"))
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--scaffold", type=Path, help="first atoms of every molecule")


def main(options: argparse.Namespace) -> None:
    """Read, draw, save."""
    n = options.rows * options.columns
    records = [record for _, record in zip(range(n), read_records(options.sdf), strict=False)]
    view = View()
    if options.scaffold is not None:
        core = next(iter(read_records(options.scaffold))).molecule
        view = View(None if core is None else core.pos.astype(np.float64))
    size = (1.7 * options.columns, 1.5 * options.rows)
    reach = 0.6 + max(
        (extent(view.of(one.molecule)) for one in records if one.molecule), default=4.0
    )
    figure, grid = plt.subplots(options.rows, options.columns, figsize=size, squeeze=False)
    for axes, index in zip(grid.flat, range(n), strict=True):
        panel(axes, records[index] if index < len(records) else None, reach, view)
    figure.subplots_adjust(0.01, 0.03, 0.99, 0.99, wspace=0.02, hspace=0.12)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)
