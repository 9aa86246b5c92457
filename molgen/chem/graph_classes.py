"""How a molecular graph is coded; needs no chemistry package."""

from __future__ import annotations

from typing import Final

ELEMENTS: Final = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 34, 35, 53)
"""Atomic numbers that are told apart; all others share class 0."""

RING_SIZES: Final = (3, 4, 5, 6, 7)
MAX_CHARGE: Final = 2
MAX_HYDROGENS: Final = 4
MAX_PATH: Final = 9
"""Longest shortest path that is told from longer ones; 0 is an atom with itself."""

N_HYBRIDISATIONS: Final = 5
N_BONDS: Final = 5
"""No bond, single, double, triple, aromatic."""

CIS, TRANS = 1, 2
N_STEREO: Final = 3

ATOM_CLASSES: Final = (
    len(ELEMENTS) + 1,
    2 * MAX_CHARGE + 1,
    2,
    MAX_HYDROGENS + 1,
    N_HYBRIDISATIONS,
    *(2 for _ in RING_SIZES),
)
"""Classes of element, charge, aromatic, number of hydrogens, hybridisation, rings of 3 to 7."""

PAIR_CLASSES: Final = (N_BONDS, MAX_PATH + 1, 2, N_STEREO)
"""Classes of bond, shortest path, same ring and cis/trans; a pair's code is their mixed radix."""

PATH_PLACE: Final = 2 * N_STEREO
BOND_PLACE: Final = (MAX_PATH + 1) * PATH_PLACE
"""A code is ``bond * BOND_PLACE + path * PATH_PLACE + same_ring * N_STEREO + stereo``."""
