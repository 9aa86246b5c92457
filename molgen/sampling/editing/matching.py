"""Which atom of one molecule becomes which atom of another, and how the other is turned.

The transport of training (`molgen.flow.coupling.AtomOT`) may reflect noise, which is as good as
its mirror image. A molecule is not: here only rotations are allowed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from molgen.chem.molecule import Molecule

OTHER_ELEMENT: Final = 4.0
"""Price (Å squared) of an atom that must become another element: a detour of 2 Å."""

_ROUNDS: Final = 20  # assignments seldom change after five


def matched_molecule(first: Molecule, second: Molecule) -> Molecule:
    """The second molecule with its atoms in the order of the first one's, laid over it.

    Assignment (Hungarian method) and rotation (Kabsch 1976) take turns, each lowering the summed
    squared distance plus `OTHER_ELEMENT` per atom that changes; the best of 24 first orientations
    counts. Hydrogens follow their neighbours by distance alone.

    Args:
        first: The molecule that stays.
        second: One of as many atoms.

    Returns:
        The second molecule, relabelled, turned and moved.
    """
    a, b = (molecule.pos.astype(np.float64) for molecule in (first, second))
    centre = a.mean(axis=0)
    a, b = a - centre, b - b.mean(axis=0)
    other = first.atomic_numbers[:, None] != second.atomic_numbers[None]
    turns = scipy.spatial.transform.Rotation.create_group("O").as_matrix()
    found = [_descend(a, b @ turn, other) for turn in turns]
    _, rows, pos = min(found, key=lambda one: one[0])
    return _relabelled(second, rows, pos + centre)


def _descend(
    a: NDArray[np.float64], b: NDArray[np.float64], other: NDArray[np.bool_]
) -> tuple[float, NDArray[np.int64], NDArray[np.float64]]:
    """Price, rows of ``b`` in the order of ``a``, and their positions, from one orientation."""
    rows = np.full(len(a), -1)
    for _ in range(_ROUNDS):
        price = np.square(a[:, None] - b[None]).sum(axis=-1) + OTHER_ELEMENT * other
        new = scipy.optimize.linear_sum_assignment(price)[1]
        if np.array_equal(new, rows):
            break
        rows = new
        if len(a) > 1:
            b = b @ _onto(a, b[rows])
    total = np.square(a - b[rows]).sum() + OTHER_ELEMENT * other[np.arange(len(a)), rows].sum()
    return float(total), rows, b[rows]


def _onto(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation R for which ``b @ R`` is closest to ``a``, row by row, ``[3, 3]``."""
    u, _, vh = np.linalg.svd(b.T @ a)
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vh))])
    return u @ proper @ vh


def _relabelled(molecule: Molecule, rows: NDArray[np.int64], pos: NDArray[np.float64]) -> Molecule:
    """A molecule with its atoms in another order, at the given positions."""
    place = np.empty_like(rows)
    place[rows] = np.arange(len(rows))
    bonds = molecule.bonds.copy()
    bonds[:, :2] = np.sort(place[bonds[:, :2]], axis=1)
    return Molecule(
        atomic_numbers=molecule.atomic_numbers[rows],
        pos=pos.astype(np.float32),
        formal_charge=molecule.formal_charge[rows],
        bonds=bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))],
    )
