"""Molecules after a force field, where a caller asked for that: bonds stay, positions mend.

No result of a model is measured on such molecules; the undecoded ones are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from molgen.chem.mol import BuiltMol, build_mol
from molgen.chem.molecule import Molecule

ITERATIONS: Final = 200
"""Of the minimiser, at most. Nearly all molecules converge within 100; cut off at 50, a difference
of 1e-6 Å before, such as another batch size makes, becomes up to 0.2 Å after."""

RESTRAINT: Final = 10.0
"""Force constant in kcal/mol/Å² that keeps every atom near where the network put it."""

TAG: Final = "molgen_relaxed"
"""Data field of an SDF record that says how it was relaxed, or why it was not."""

LABEL: Final = f"MMFF94s, {ITERATIONS} iterations, restraint {RESTRAINT:g}"
"""What is said of a molecule that was relaxed; one that was not has :data:`NOT` and a reason."""

NOT: Final = "no"
"""How the text begins that is said of a molecule that was not relaxed."""


@dataclass(frozen=True)
class Relaxed:
    """A molecule after the force field, or as it was where that failed.

    Attributes:
        molecule: The molecule.
        built: The same in RDKit, with the verdict on it.
        note: :data:`LABEL`, or ``no`` with the reason.
    """

    molecule: Molecule
    built: BuiltMol
    note: str


@dataclass(frozen=True)
class Relaxation:
    """How to relax the molecules of a run.

    Attributes:
        n_fixed: Numbers of first atoms that must not move, of molecule i the i-th, round and
            round.
    """

    n_fixed: tuple[int, ...] = (0,)

    def __call__(self, index: int, molecule: Molecule, total_charge: int | None = None) -> Relaxed:
        """Relax one molecule.

        Without fixed atoms the result is laid over the molecule as it was.

        Args:
            index: Its number in the run.
            molecule: With bonds; stays as it is.
            total_charge: What its formal charges must add up to; None for its own.
        """
        from molgen.chem.force_field import relaxed_pos  # noqa: PLC0415 - most runs go without

        fixed = range(self.n_fixed[index % len(self.n_fixed)])
        pos = relaxed_pos(molecule, ITERATIONS, RESTRAINT, fixed)
        if pos is not None:
            moved = replace(molecule, pos=pos.astype(np.float32))
            built = build_mol(moved, total_charge)
            if built.is_valid:
                return Relaxed(moved, built, LABEL)
        built = build_mol(molecule, total_charge)
        return Relaxed(molecule, built, f"{NOT} ({built.reason or 'MMFF94s failed'})")
