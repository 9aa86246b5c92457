"""How like the torsions of conformers are to those of reference conformers."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem.Lipinski import RotatableBondSmarts

N_BINS: Final = 12
"""Bins of 30°: twenty conformers fill no finer ones."""


def torsion_divergence(references: Chem.Mol, made: Chem.Mol) -> float:
    """Jensen-Shannon divergence of torsions in bits, mean over rotatable bonds.

    0 where both have the same histogram, 1 where they share no bin. Every choice of symmetric
    neighbours counts, so a turned phenyl ring is the same.

    Args:
        references: Conformers of a molecule.
        made: Conformers of the same molecule, atoms in the same order; hydrogens may follow.

    Returns:
        NaN without rotatable bonds, or where either has no conformer.
    """
    mol = Chem.RemoveAllHs(references)
    paths = torsions_of(mol)
    sides = [_positions(one, mol.GetNumAtoms()) for one in (references, made)]
    if not paths or not all(len(pos) for pos in sides):
        return float("nan")
    return float(np.mean([_divergence(*(_histogram(pos, one) for pos in sides)) for one in paths]))


def torsions_of(mol: Chem.Mol) -> list[list[tuple[int, int, int, int]]]:
    """For every rotatable bond, the torsions over it that symmetry makes one.

    Args:
        mol: Without hydrogens.
    """
    rank = list(Chem.CanonicalRankAtoms(mol, breakTies=False))

    def ends(atom: int, other: int) -> list[int]:
        near = [one.GetIdx() for one in mol.GetAtomWithIdx(atom).GetNeighbors()]
        near = [one for one in near if one != other]
        return [one for one in near if rank[one] == min(rank[each] for each in near)]

    return [
        [(a, b, c, d) for a, d in product(ends(b, c), ends(c, b))]
        for b, c in mol.GetSubstructMatches(RotatableBondSmarts)
    ]


def _positions(mol: Chem.Mol, n_heavy: int) -> NDArray[np.float64]:
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1][:n_heavy]
    pos = [one.GetPositions()[heavy] for one in mol.GetConformers()]
    return np.array(pos, np.float64).reshape(-1, n_heavy, 3)


def _histogram(
    pos: NDArray[np.float64], paths: list[tuple[int, int, int, int]]
) -> NDArray[np.float64]:
    """Shares of the bins, over conformers ``[K, N, 3]`` and torsions that are one."""
    a, b, c, d = np.moveaxis(pos[:, np.array(paths)], 2, 0)
    axis = c - b
    first, last = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = (np.cross(first, last) * axis).sum(axis=-1) / np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (first * last).sum(axis=-1))
    count, _ = np.histogram(angle, bins=N_BINS, range=(-np.pi, np.pi))
    share: NDArray[np.float64] = count / count.sum()
    return share


def _divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    middle = (one + other) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.nansum(each * np.log2(each / middle)) for each in (one, other)]
    return float(np.mean(parts))
