"""How like the reference a set of molecules is, in what it contains: sizes, elements, rings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from molgen.chem.molecule import Molecule

Outcome = TypeVar("Outcome", bound=Hashable)


def total_variation(
    first: Mapping[Outcome, float], second: Mapping[Outcome, float]
) -> float | None:
    """Half the summed absolute difference of two distributions: 0 equal, 1 disjoint.

    Args:
        first: Non-negative weights by outcome, of any total.
        second: The same, for the other distribution.

    Returns:
        The distance after normalising both; None when either is empty.

    Example:
        >>> total_variation({"C": 3, "O": 1}, {"C": 0.5, "O": 0.5})
        0.25
    """
    n_first, n_second = sum(first.values()), sum(second.values())
    if not n_first or not n_second:
        return None
    outcomes = set(first) | set(second)
    return 0.5 * sum(
        abs(first.get(outcome, 0.0) / n_first - second.get(outcome, 0.0) / n_second)
        for outcome in outcomes
    )


def atom_counts(molecules: Iterable[Molecule]) -> dict[int, int]:
    """Number of molecules by number of atoms (hydrogens included), ascending."""
    counts = Counter(molecule.n_atoms for molecule in molecules)
    return dict(sorted(counts.items()))


def element_counts(molecules: Sequence[Molecule]) -> dict[int, int]:
    """Number of atoms by atomic number over all molecules, ascending."""
    if not molecules:
        return {}
    pooled = np.bincount(np.concatenate([molecule.atomic_numbers for molecule in molecules]))
    return {int(z): int(pooled[z]) for z in np.flatnonzero(pooled)}
