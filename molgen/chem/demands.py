"""Whether a molecule is what was asked for: scaffold, room, properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.checks.table import beyond, checks_of, measure
from molgen.chem.molecule import Molecule
from molgen.config.evaluation import Bound

SAME_PLACE: Final = 0.25
"""Å that an atom of a scaffold may be off its place."""

CLASH: Final = 2.5
"""Å below which two heavy atoms of different molecules clash; hydrogen bonds begin at 2.6."""


def _no_rows(width: int) -> NDArray[np.float64]:
    return np.zeros((0, width))


@dataclass(frozen=True)
class Demands:
    """What every molecule of a run must obey.

    Attributes:
        atomic_numbers: Of the scaffold, ``[S]``.
        pos: Its positions in Å, ``[S, 3]``.
        bonds: Its bonds, rows ``(i, j, order)``; orders are not compared, since resonance and
            what is attached may change them.
        off: Heavy atoms to keep clear of, in Å, ``[M, 3]``.
        bounds: Of measured values, by column of `molgen.chem.checks`.
    """

    atomic_numbers: NDArray[np.integer] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pos: NDArray[np.float64] = field(default_factory=lambda: _no_rows(3))
    bonds: NDArray[np.integer] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    off: NDArray[np.float64] = field(default_factory=lambda: _no_rows(3))
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def fault(self, molecule: Molecule) -> str:
        """The first demand that a molecule does not obey; empty for none."""
        return self._lost(molecule) or self._clash(molecule) or self._beyond(molecule)

    def _lost(self, molecule: Molecule) -> str:
        if not len(self.pos):
            return ""
        if not molecule.n_atoms:
            return "scaffold lost: no atoms"
        apart = np.linalg.norm(self.pos[:, None] - molecule.pos[None], axis=-1)
        apart[self.atomic_numbers[:, None] != molecule.atomic_numbers[None]] = np.inf
        place = apart.argmin(axis=1)
        for atom, distance in enumerate(apart.min(axis=1).tolist()):
            if distance > SAME_PLACE:
                return f"scaffold lost: atom {atom}"
        there = {frozenset(pair) for pair in molecule.bonds[:, :2].tolist()}
        for begin, end in self.bonds[:, :2].tolist():
            if frozenset((int(place[begin]), int(place[end]))) not in there:
                return f"scaffold lost: bond {begin}-{end}"
        return ""

    def _beyond(self, molecule: Molecule) -> str:
        if not self.bounds:
            return ""
        outside = beyond(measure((molecule, {}), checks_of(self.bounds)), self.bounds)
        return f"out of bounds: {outside}" if outside else ""

    def _clash(self, molecule: Molecule) -> str:
        heavy = molecule.pos[molecule.atomic_numbers > 1]
        if not len(self.off) or not len(heavy):
            return ""
        nearest = float(np.linalg.norm(heavy[:, None] - self.off[None], axis=-1).min())
        return f"clash: {nearest:.2f} Å to what is to be avoided" if nearest < CLASH else ""
