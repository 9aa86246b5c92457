"""The molecule that every part of the package exchanges: arrays only, no chemistry library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import HYDROGEN, N_BOND_CLASSES, SYMBOLS


@dataclass(frozen=True)
class Molecule:
    """One molecule with one geometry.

    Attributes:
        atomic_numbers: Shape (n,), uint8.
        pos: Positions in Å, shape (n, 3), float32.
        formal_charge: Shape (n,), int8.
        bonds: Rows (i, j, order) with i < j, shape (m, 3), int16; order is 1, 2, 3 or
            ``AROMATIC``.
        hydrogens: Implicit hydrogens of each atom, shape (n,), uint8; None where all hydrogens are
            atoms.
    """

    atomic_numbers: NDArray[np.uint8]
    pos: NDArray[np.float32]
    formal_charge: NDArray[np.int8]
    bonds: NDArray[np.int16]
    hydrogens: NDArray[np.uint8] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms, hydrogens included unless they are implicit."""
        return len(self.atomic_numbers)

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        return len(self.bonds)

    @property
    def formula(self) -> str:
        """Molecular formula in Hill order, for example ``C6H6O``."""
        counts = np.bincount(self.atomic_numbers, minlength=HYDROGEN + 1)
        counts[HYDROGEN] += 0 if self.hydrogens is None else self.hydrogens.sum()
        symbols = {SYMBOLS[z]: int(counts[z]) for z in np.flatnonzero(counts)}
        lead = ["C", "H"] if "C" in symbols else []
        order = [s for s in lead if s in symbols] + sorted(set(symbols) - set(lead))
        return "".join(f"{s}{symbols[s] if symbols[s] > 1 else ''}" for s in order)


def from_geometry(atomic_numbers: NDArray[np.integer], pos: NDArray[np.floating]) -> Molecule:
    """A molecule that knows only elements and positions: no bonds, no charges.

    Args:
        atomic_numbers: Shape (n,).
        pos: Positions in Å, shape (n, 3).

    Returns:
        The molecule, with an empty bond list and zero formal charges.
    """
    n_atoms = len(atomic_numbers)
    return Molecule(
        atomic_numbers=np.asarray(atomic_numbers, dtype=np.uint8),
        pos=np.asarray(pos, dtype=np.float32),
        formal_charge=np.zeros(n_atoms, dtype=np.int8),
        bonds=np.zeros((0, 3), dtype=np.int16),
    )


def without_hydrogens(molecule: Molecule) -> Molecule:
    """The heavy atoms of a molecule, hydrogens on them implicit; others are left out.

    Args:
        molecule: With hydrogens as atoms.
    """
    is_heavy = molecule.atomic_numbers != HYDROGEN
    ends = molecule.bonds[:, :2]
    hydrogens = np.zeros(molecule.n_atoms, np.uint8)
    for one, other in (ends.T, ends.T[::-1]):
        np.add.at(hydrogens, one[~is_heavy[other]], 1)
    place = np.cumsum(is_heavy) - 1
    bonds = molecule.bonds[is_heavy[ends].all(axis=1)].copy()
    bonds[:, :2] = place[bonds[:, :2]]
    return Molecule(
        molecule.atomic_numbers[is_heavy],
        molecule.pos[is_heavy],
        molecule.formal_charge[is_heavy],
        bonds,
        hydrogens[is_heavy],
    )


def bond_matrix(molecule: Molecule) -> NDArray[np.int8]:
    """Symmetric matrix of bond classes.

    Args:
        molecule: Any molecule.

    Returns:
        Shape (n, n), int8, values 0 to ``N_BOND_CLASSES`` - 1; the diagonal is 0.
    """
    matrix = np.zeros((molecule.n_atoms, molecule.n_atoms), dtype=np.int8)
    begin, end, order = molecule.bonds.T
    matrix[begin, end] = order
    matrix[end, begin] = order
    return matrix


def bonds_of_matrix(matrix: NDArray[np.integer]) -> NDArray[np.int16]:
    """Bond list of a symmetric matrix of bond classes (the inverse of `bond_matrix`).

    Args:
        matrix: Shape (n, n), bond classes; only the upper triangle is read.

    Returns:
        Rows (i, j, order) with i < j in lexicographic order, shape (m, 3), int16.

    Raises:
        ValueError: A class is outside 0 to ``N_BOND_CLASSES`` - 1.
    """
    if matrix.size and not 0 <= matrix.min() <= matrix.max() < N_BOND_CLASSES:
        raise ValueError(f"bond classes must lie in 0..{N_BOND_CLASSES - 1}")
    begin, end = np.nonzero(np.triu(matrix, 1))
    return np.stack([begin, end, matrix[begin, end]], axis=1).astype(np.int16)


def n_fragments(n_atoms: int, bonds: NDArray[np.integer]) -> int:
    """Number of connected components of a bond graph.

    Args:
        n_atoms: Number of atoms.
        bonds: Rows (i, j, ...), shape (m, >= 2).

    Returns:
        The count; 0 for a molecule without atoms.
    """
    return len(set(fragment_labels(n_atoms, bonds)))


def fragment_labels(n_atoms: int, bonds: NDArray[np.integer]) -> list[int]:
    """The smallest atom index in each atom's connected component.

    Args:
        n_atoms: Number of atoms.
        bonds: Rows (i, j, ...), shape (m, >= 2).

    Returns:
        One label per atom.
    """
    parent = list(range(n_atoms))

    def root(atom: int) -> int:
        while parent[atom] != atom:
            parent[atom] = parent[parent[atom]]
            atom = parent[atom]
        return atom

    for begin, end in bonds[:, :2].tolist():
        low, high = sorted((root(begin), root(end)))
        parent[high] = low
    return [root(atom) for atom in range(n_atoms)]
