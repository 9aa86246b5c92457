"""Conformers that differ in their rings, which docking programs keep as they are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

ALIKE: Final = 25.0
"""Degrees; root mean square over torsions along ring bonds within which rings are alike. Chair and
twist-boat of cyclohexane are 38 apart."""


def ring_torsions(mol: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """Torsions along the bonds of rings that can change shape: not aromatic, four atoms or more."""
    found = []
    for ring in mol.GetRingInfo().AtomRings():
        if len(ring) < 4 or all(mol.GetAtomWithIdx(row).GetIsAromatic() for row in ring):
            continue
        around = (*ring, *ring[:3])
        found += [
            (around[k], around[k + 1], around[k + 2], around[k + 3]) for k in range(len(ring))
        ]
    return found


def distinct_rings(mol: Chem.Mol, others: Chem.Mol, k: int) -> list[Chem.Mol]:
    """Conformers whose rings differ: that of the molecule, then always the one that differs most.

    Args:
        mol: Sanitised, with one conformer.
        others: The same atoms in the same order, with conformers.
        k: How many at most.

    Returns:
        Molecules of one conformer each, with the properties of the molecule.
    """
    paths = ring_torsions(mol)
    if not paths or others.GetNumAtoms() != mol.GetNumAtoms():
        return [mol]
    found = [mol.GetConformer(), *others.GetConformers()]
    angles = np.array(
        [[rdMolTransforms.GetDihedralDeg(one, *path) for path in paths] for one in found]
    )
    chosen, nearest = [0], _apart(angles, angles[0])
    while len(chosen) < k and nearest.max() > ALIKE:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _apart(angles, angles[chosen[-1]]))
    return [mol, *(_at(mol, found[place]) for place in chosen[1:])]


def _at(mol: Chem.Mol, conformer: Chem.Conformer) -> Chem.Mol:
    moved = Chem.Mol(mol)
    moved.GetConformer().SetPositions(conformer.GetPositions())
    return moved


def _apart(angles: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = np.abs((angles - one + 180) % 360 - 180)
    apart: NDArray[np.float64] = np.sqrt((turn**2).mean(axis=1))
    return apart
