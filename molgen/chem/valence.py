"""Which numbers of bonds an atom may have: the tables behind stability and decoding.

An atom of a bond graph is described by how many aromatic bonds it has and by the sum of the
orders of its other bonds. Counting the two apart keeps the rule exact: an aromatic bond has
order 1.5, and adding it up as 1 or 2 would call radicals stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import AROMATIC
from molgen.chem.molecule import Molecule

ElementCharge = tuple[int, int]
"""(atomic number, formal charge)."""

BondCount = tuple[int, int]
"""(number of aromatic bonds, sum of the orders of all other bonds)."""

ALLOWED_BONDS: Final[Mapping[ElementCharge, frozenset[BondCount]]] = {
    (1, 0): frozenset({(0, 1)}),
    (5, 0): frozenset({(0, 3), (2, 1)}),
    (5, -1): frozenset({(0, 4)}),
    (6, 0): frozenset({(0, 4), (2, 1), (2, 2), (3, 0)}),
    (6, -1): frozenset({(0, 3), (2, 0), (2, 1), (3, 0)}),
    (7, 0): frozenset({(0, 3), (2, 0), (2, 1), (3, 0)}),
    (7, -1): frozenset({(0, 2), (2, 0)}),
    (7, 1): frozenset({(0, 4), (2, 1), (2, 2), (3, 0)}),
    (8, 0): frozenset({(0, 2), (2, 0)}),
    (8, -1): frozenset({(0, 1)}),
    (8, 1): frozenset({(0, 3), (2, 0)}),
    (9, 0): frozenset({(0, 1)}),
    (14, 0): frozenset({(0, 4), (2, 1), (2, 2), (3, 0)}),
    (15, 0): frozenset({(0, 3), (0, 5), (2, 0), (2, 1)}),
    (15, 1): frozenset({(0, 4)}),
    (16, 0): frozenset({(0, 2), (0, 4), (0, 6), (2, 0), (2, 2)}),
    (16, -1): frozenset({(0, 1)}),
    (16, 1): frozenset({(0, 3), (2, 0), (2, 1)}),
    (17, 0): frozenset({(0, 1)}),
    (34, 0): frozenset({(0, 2), (0, 4), (0, 6), (2, 0)}),
    (34, -1): frozenset({(0, 1)}),
    (34, 1): frozenset({(0, 3), (2, 0)}),
    (35, 0): frozenset({(0, 1)}),
    (53, 0): frozenset({(0, 1)}),
}
"""Bond counts of closed-shell atoms with at least one bond, per (element, formal charge).

Tabulated from the SMILES of QM9, of GEOM-Drugs and of crystal ligands, and closed under the
valence model of RDKit (release 2026.03) for the same elements and charges. Of 52,560 drug-like
molecules it lacks 4 (two-valent N+, not closed-shell), of 36,663 crystal ligands 5 (six-valent P-,
five-valent S+, three-valent S- and C+).
"""

KEKULE_VALENCES: Final[Mapping[ElementCharge, tuple[int, ...]]] = {
    key: tuple(sorted(order for n_aromatic, order in counts if n_aromatic == 0))
    for key, counts in ALLOWED_BONDS.items()
}
"""Total bond orders of a closed-shell atom when every bond has an integer order."""


def bond_counts(molecule: Molecule) -> NDArray[np.int64]:
    """Aromatic bonds and summed non-aromatic orders of every atom.

    Args:
        molecule: Any molecule; an implicit hydrogen is a single bond.

    Returns:
        Shape (n, 2): number of aromatic bonds, sum of the other bonds' orders.
    """
    ends = molecule.bonds[:, :2].T.ravel()
    order = np.tile(molecule.bonds[:, 2], 2)
    is_aromatic = order == AROMATIC
    n_aromatic = np.bincount(ends[is_aromatic], minlength=molecule.n_atoms)
    other = np.bincount(ends[~is_aromatic], weights=order[~is_aromatic], minlength=molecule.n_atoms)
    if molecule.hydrogens is not None:
        other = other + molecule.hydrogens
    return np.stack([n_aromatic, other.astype(np.int64)], axis=1)


def charges_of_valences(
    atomic_numbers: NDArray[np.integer], valences: NDArray[np.integer]
) -> NDArray[np.int8]:
    """The least formal charge that makes each atom closed-shell.

    Args:
        atomic_numbers: Shape (n,).
        valences: Sum of the integer bond orders of each atom, shape (n,).

    Returns:
        Shape (n,); 0 where no charge does.
    """
    return np.array(
        [
            next((q for q in (0, 1, -1) if v in KEKULE_VALENCES.get((z, q), ())), 0)
            for z, v in zip(atomic_numbers.tolist(), valences.tolist(), strict=True)
        ],
        dtype=np.int8,
    )


def stable_atoms(molecule: Molecule) -> NDArray[np.bool_]:
    """Which atoms have a bond count that their element and formal charge allow.

    Aromatic bonds are counted apart and formal charges take part, so that neither an aromatic
    bond rounded to 1 nor a three-valent neutral carbon passes.

    Args:
        molecule: Any molecule; bond orders and formal charges are read, positions are not.

    Returns:
        Shape (n,), bool.
    """
    rows = zip(
        molecule.atomic_numbers.tolist(),
        molecule.formal_charge.tolist(),
        bond_counts(molecule).tolist(),
        strict=True,
    )
    none: frozenset[BondCount] = frozenset()
    return np.array(
        [(n, order) in ALLOWED_BONDS.get((z, q), none) for z, q, (n, order) in rows], dtype=bool
    )


def is_stable(molecule: Molecule) -> bool:
    """Whether every atom of the molecule is stable (see `stable_atoms`).

    Args:
        molecule: Any molecule.

    Returns:
        True for a molecule with at least one atom, all of them stable.
    """
    return molecule.n_atoms > 0 and bool(stable_atoms(molecule).all())
