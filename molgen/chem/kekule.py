"""Whether the aromatic bonds of a graph can be written as alternating single and double bonds."""

from __future__ import annotations

import numpy as np

from molgen.chem.elements import AROMATIC
from molgen.chem.molecule import Molecule
from molgen.chem.valence import KEKULE_VALENCES, bond_counts

PRIME = 2_147_483_647
"""Arithmetic of the matching test is modulo this; it errs with probability n / PRIME."""


def is_kekulisable(molecule: Molecule) -> bool:
    """Whether double bonds can be placed so that every aromatic atom keeps its valence.

    An aromatic atom whose valence exceeds its bonds by one needs one double bond among its
    aromatic bonds; the others (the nitrogen of pyrrole, the oxygen of furan) need none. The
    double bonds are thus a perfect matching of the atoms that need one.

    Args:
        molecule: Any molecule; positions are not read.

    Returns:
        True when such a matching exists, and so for every molecule without aromatic bonds.
    """
    aromatic = molecule.bonds[molecule.bonds[:, 2] == AROMATIC, :2].tolist()
    if not aromatic:
        return True
    needs = _needs_double_bond(molecule)
    if needs is None:
        return False
    place = {atom: index for index, atom in enumerate(needs)}
    edges = [(place[i], place[j]) for i, j in aromatic if i in place and j in place]
    return _has_perfect_matching(len(needs), edges)


def _needs_double_bond(molecule: Molecule) -> list[int] | None:
    """Aromatic atoms one bond short of a valence; None if an atom fits no valence at all."""
    needs = []
    for atom, (n_aromatic, order) in enumerate(bond_counts(molecule).tolist()):
        if n_aromatic == 0:
            continue
        key = (int(molecule.atomic_numbers[atom]), int(molecule.formal_charge[atom]))
        missing = {valence - n_aromatic - order for valence in KEKULE_VALENCES.get(key, ())}
        if 0 in missing:
            continue
        if 1 not in missing:
            return None
        needs.append(atom)
    return needs


def _has_perfect_matching(n: int, edges: list[tuple[int, int]]) -> bool:
    """Whether some edges meet every vertex exactly once.

    By Tutte's theorem such edges exist exactly where the skew-symmetric matrix with an unknown for
    every edge is regular; with random numbers for the unknowns it then is almost surely (Lovász
    1979), whatever the size and the shape of the rings.
    """
    if n % 2:
        return False
    matrix = np.zeros((n, n), dtype=np.int64)
    numbers = np.random.default_rng(0).integers(1, PRIME, size=len(edges))
    for (i, j), number in zip(edges, numbers.tolist(), strict=True):
        matrix[i, j], matrix[j, i] = number, PRIME - number
    for column in range(n):
        pivots = column + np.flatnonzero(matrix[column:, column])
        if not len(pivots):
            return False
        matrix[[column, pivots[0]]] = matrix[[pivots[0], column]]
        row = matrix[column] * pow(int(matrix[column, column]), -1, PRIME) % PRIME
        below = matrix[column + 1 :]
        below -= below[:, column : column + 1] * row % PRIME
        below %= PRIME
    return True
