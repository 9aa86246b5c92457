"""Bonds read off interatomic distances: the "EDM" stability of the literature.

A pair is bonded when it is closer than the typical length of such a bond plus a margin; an atom
is stable when its bond orders add up to its valence. Definition, margins and table are those of
Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D" (ICML 2022, appendix on
bond lengths), whose entries for H, C, N, O, F go back to G-SchNet (Gebauer et al., NeurIPS 2019).
Formal charges are ignored and 0.02 Å of noise costs many points, so this measures the precision
of the coordinates. numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import ATOMIC_NUMBERS

N_ELEMENTS: Final = 256  # every uint8 is a valid index; unlisted elements have no bonds
PM_PER_ANGSTROM: Final = 100.0
MARGINS_PM: Final = (10.0, 5.0, 3.0)
"""Added to the typical lengths of single, double and triple bonds, in pm."""

SINGLE_PM: Final[Mapping[str, Mapping[str, int]]] = {
    "H": {
        "H": 74, "C": 109, "N": 101, "O": 96, "F": 92, "B": 119, "Si": 148, "P": 144, "As": 152,
        "S": 134, "Cl": 127, "Br": 141, "I": 161,
    },
    "C": {
        "C": 154, "N": 147, "O": 143, "F": 135, "Si": 185, "P": 184, "S": 182, "Cl": 177,
        "Br": 194, "I": 214,
    },
    "N": {
        "N": 145, "O": 140, "F": 136, "P": 177, "S": 168, "Cl": 175, "Br": 214, "I": 222,
    },
    "O": {
        "O": 148, "F": 142, "Si": 163, "P": 163, "S": 151, "Cl": 164, "Br": 172, "I": 194,
    },
    "F": {
        "F": 142, "Si": 160, "P": 156, "S": 158, "Cl": 166, "Br": 178, "I": 187,
    },
    "B": {"Cl": 175},
    "Si": {"Si": 233, "S": 200, "Cl": 202, "Br": 215, "I": 243},
    "P": {"P": 221, "S": 210, "Cl": 203, "Br": 222},
    "S": {"S": 204, "Cl": 207, "Br": 225, "I": 234},
    "Cl": {"Cl": 199, "Br": 214},
    "Br": {"Br": 228},
    "I": {"I": 266},
}  # fmt: skip
"""Typical length of a single bond in pm; each pair is listed once."""

DOUBLE_PM: Final[Mapping[str, Mapping[str, int]]] = {
    "C": {"C": 134, "N": 129, "O": 120, "S": 160},
    "N": {"N": 125, "O": 121},
    "O": {"O": 121, "P": 150},
    "P": {"S": 186},
}
"""Typical length of a double bond in pm."""

TRIPLE_PM: Final[Mapping[str, Mapping[str, int]]] = {
    "C": {"C": 120, "N": 116, "O": 113},
    "N": {"N": 110},
}
"""Typical length of a triple bond in pm."""

VALENCES: Final[Mapping[str, tuple[int, ...]]] = {
    "H": (1,), "B": (3,), "C": (4,), "N": (3,), "O": (2,), "F": (1,), "Al": (3,), "Si": (4,),
    "P": (3, 5), "S": (4,), "Cl": (1,), "As": (3,), "Br": (1,), "I": (1,), "Hg": (1, 2),
    "Bi": (3, 5),
}  # fmt: skip
"""Sums of bond orders that count as stable; charges are not considered."""


def _thresholds() -> NDArray[np.float64]:
    """Largest distance in pm of orders 1, 2, 3 by pair of elements; 0 where there is no entry."""
    limit = np.zeros((3, N_ELEMENTS, N_ELEMENTS))
    tables = (SINGLE_PM, DOUBLE_PM, TRIPLE_PM)
    for by_order, table, margin in zip(limit, tables, MARGINS_PM, strict=True):
        for first, row in table.items():
            for second, length in row.items():
                a, b = ATOMIC_NUMBERS[first], ATOMIC_NUMBERS[second]
                by_order[a, b] = by_order[b, a] = length + margin
    return limit


def _allowed() -> NDArray[np.bool_]:
    """Whether an element may have a sum of bond orders, shape (N_ELEMENTS, 7)."""
    allowed = np.zeros((N_ELEMENTS, 7), dtype=bool)
    for symbol, valences in VALENCES.items():
        allowed[ATOMIC_NUMBERS[symbol], list(valences)] = True
    return allowed


_LIMIT_PM: Final = _thresholds()
_ALLOWED: Final = _allowed()


def bond_orders(atomic_numbers: NDArray[np.integer], pos: NDArray[np.floating]) -> NDArray[np.int8]:
    """Bond order of every pair of atoms by its distance.

    The rules are nested and strict: double only if also within the single-bond limit, triple only
    if also within the double-bond limit.

    Args:
        atomic_numbers: Shape (n,).
        pos: Positions in Å, shape (n, 3). A coordinate that is not finite has no bonds.

    Returns:
        Symmetric matrix of orders 0 to 3 with a zero diagonal, shape (n, n), int8.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        xyz = np.asarray(pos, dtype=np.float64) * PM_PER_ANGSTROM
        distance = np.sqrt(((xyz[:, None] - xyz[None]) ** 2).sum(axis=-1))
    np.fill_diagonal(distance, np.inf)
    z = np.asarray(atomic_numbers, dtype=np.intp)
    within = distance < _LIMIT_PM[:, z[:, None], z[None]]
    orders: NDArray[np.int8] = np.logical_and.accumulate(within, axis=0).sum(axis=0, dtype=np.int8)
    return orders


def stable_atoms(
    atomic_numbers: NDArray[np.integer], pos: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Which atoms have exactly the valence of their element by the distance table.

    Args:
        atomic_numbers: Shape (n,).
        pos: Positions in Å, shape (n, 3).

    Returns:
        Shape (n,), bool.
    """
    total = bond_orders(atomic_numbers, pos).sum(axis=1, dtype=np.int64)
    top = _ALLOWED.shape[1] - 1  # no valence reaches it, so larger sums may share it
    stable: NDArray[np.bool_] = _ALLOWED[np.asarray(atomic_numbers), np.minimum(total, top)]
    return stable


def is_stable(atomic_numbers: NDArray[np.integer], pos: NDArray[np.floating]) -> bool:
    """Whether a molecule has atoms and all of them are stable by the distance table.

    Args:
        atomic_numbers: Shape (n,).
        pos: Positions in Å, shape (n, 3).
    """
    return len(atomic_numbers) > 0 and bool(stable_atoms(atomic_numbers, pos).all())
