"""Energies of conformers and the minima near them: MMFF94s, UFF where that has no parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers
from rdkit.ForceField import rdForceField

from molgen.chem import gfn2
from molgen.chem.force_field import FORCE_FIELD, MAX_ITERATIONS

STRETCH: Final = 1.3
"""A bond longer than this many times what it was is broken: a proton went elsewhere."""


@dataclass(frozen=True)
class Relaxed:
    """Conformers after minimisation.

    Attributes:
        mol: The conformers, each at a minimum, or at the limit of iterations.
        energy: kcal/mol, ``[K]``; NaN where no minimum was found, and the geometry is as it was.
    """

    mol: Chem.Mol
    energy: NDArray[np.float64]


@dataclass(frozen=True)
class ForceField:
    """A force field that has parameters for a molecule.

    Attributes:
        name: For tables.
        run: Moves all conformers, so many iterations; returns for each whether it needs more, and
            its energy, kcal/mol.
        of: The field of one conformer, by its number.
    """

    name: str
    run: Callable[..., list[tuple[int, float]]]
    of: Callable[[Chem.Mol, int], rdForceField.ForceField]

    def energy(self, mol: Chem.Mol) -> NDArray[np.float64]:
        """Energy of every conformer as it is, kcal/mol, ``[K]``."""
        return np.array([value for _, value in self.run(Chem.Mol(mol), maxIters=0)], np.float64)

    def relaxed(self, mol: Chem.Mol, fixed: Sequence[int] = ()) -> Relaxed:
        """The minimum near every conformer; some atoms stay where they are."""
        moved = Chem.Mol(mol)
        if len(fixed):
            ids = [one.GetId() for one in moved.GetConformers()]
            return Relaxed(moved, np.array([self._around(moved, one, fixed) for one in ids]))
        found = self.run(moved, maxIters=MAX_ITERATIONS)
        return Relaxed(moved, np.array([value for _, value in found], np.float64))

    def _around(self, mol: Chem.Mol, conformer: int, fixed: Sequence[int]) -> float:
        """Minimise one conformer around atoms that stay; its energy."""
        field = self.of(mol, conformer)
        field.Initialize()
        for atom in fixed:
            field.AddFixedPoint(int(atom))
        field.Minimize(maxIts=MAX_ITERATIONS)
        return float(field.CalcEnergy())


def force_field_of(mol: Chem.Mol) -> ForceField | None:
    """MMFF94s, UFF where MMFF94s has no parameters, None where neither has.

    Args:
        mol: Sanitised, with hydrogens.
    """
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        run = partial(rdForceFieldHelpers.MMFFOptimizeMoleculeConfs, mmffVariant=FORCE_FIELD)
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant=FORCE_FIELD)
        return ForceField(
            FORCE_FIELD,
            run,
            lambda one, place: rdForceFieldHelpers.MMFFGetMoleculeForceField(
                one, properties, confId=place
            ),
        )
    if rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        return ForceField(
            "UFF",
            rdForceFieldHelpers.UFFOptimizeMoleculeConfs,
            lambda one, place: rdForceFieldHelpers.UFFGetMoleculeForceField(one, confId=place),
        )
    return None


def relaxed_in_gfn2(mol: Chem.Mol) -> Relaxed:
    """The minimum of GFN2-xTB near every conformer; the graph of the molecule stays.

    Raises:
        UsageError: tblite is missing.
    """
    moved = Chem.Mol(mol)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    ends = np.array([(one.GetBeginAtomIdx(), one.GetEndAtomIdx()) for one in mol.GetBonds()])
    ends = ends.reshape(-1, 2)
    energy = np.full(mol.GetNumConformers(), np.nan)
    for row, conformer in enumerate(moved.GetConformers()):
        before = conformer.GetPositions()
        found = gfn2.minimum(numbers, before, Chem.GetFormalCharge(mol))
        if isinstance(found, gfn2.Minimum) and _is_bonded(found.pos, before, ends):
            conformer.SetPositions(found.pos)
            energy[row] = found.energy
    return Relaxed(moved, energy)


def _is_bonded(
    pos: NDArray[np.float64], before: NDArray[np.float64], ends: NDArray[np.int64]
) -> bool:
    now, then = (np.linalg.norm(one[ends[:, 0]] - one[ends[:, 1]], axis=1) for one in (pos, before))
    return bool((now < STRETCH * then).all())
