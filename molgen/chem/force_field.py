"""Geometries a force field would rather have: MMFF94s (Halgren, J. Comput. Chem. 1999) by RDKit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers, rdMolAlign
from rdkit.ForceField import rdForceField

from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule

FORCE_FIELD: Final = "MMFF94s"

MAX_ITERATIONS: Final = 2_000
"""Enough for drug-like molecules; the minimiser ends earlier by itself."""


def field_of(mol: Chem.Mol) -> rdForceField.ForceField | None:
    """The force field of a sanitised molecule with its conformer; None for want of parameters.

    Minimising the field moves the conformer of ``mol``.
    """
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant=FORCE_FIELD)
    if properties is None:
        return None
    field: rdForceField.ForceField = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
    field.Initialize()
    return field


def relax_conformers(mol: Chem.Mol) -> bool:
    """Move every conformer to its nearest minimum; False for want of parameters."""
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        return False
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
        mol, maxIters=MAX_ITERATIONS, mmffVariant=FORCE_FIELD
    )
    return True


def relaxed_pos(
    molecule: Molecule, iterations: int, restraint: float = 0.0, fixed: Sequence[int] = ()
) -> NDArray[np.float64] | None:
    """Positions after some iterations of the minimiser, laid over those before.

    A restraint lets bonds and angles mend and keeps the torsions, so that the conformer stays.

    Args:
        molecule: A molecule with bonds.
        iterations: Of BFGS, at most.
        restraint: Force constant, in kcal/mol/Å², that pulls every atom to where it was.
        fixed: Atoms that do not move; with any, nothing is superposed.

    Returns:
        Å, shape (n, 3), superposed so that the squared displacements are least; None where the
        graph is not valid, a position is not finite or the field does not know an atom.
    """
    built = build_mol(molecule)
    if built.reason or not np.isfinite(molecule.pos).all():
        return None
    relaxed = Chem.Mol(built.mol)
    with rdBase.BlockLogs():
        try:
            field = field_of(relaxed)
            if field is None:
                return None
            if restraint:
                for atom in range(molecule.n_atoms):
                    field.MMFFAddPositionConstraint(atom, 0.0, restraint)
                field.Initialize()
            for atom in fixed:
                field.AddFixedPoint(atom)
            field.Minimize(maxIts=iterations)
        except (ValueError, RuntimeError):
            return None
    if not fixed:
        superpose(relaxed, built.mol, list(range(molecule.n_atoms)))
    pos: NDArray[np.float64] = relaxed.GetConformer().GetPositions()
    return pos if np.isfinite(pos).all() else None


def superpose(probe: Chem.Mol, reference: Chem.Mol, atoms: list[int]) -> float:
    """Move a conformer onto another of the same atoms; RMSD in Å over those that are named."""
    rmsd: float = rdMolAlign.AlignMol(probe, reference, atomMap=[(i, i) for i in atoms])
    return rmsd
