"""Broken molecules, and ways to move and to shake whole ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from molgen.chem.molecule import Molecule, from_geometry

NO_ATOMS = from_geometry(np.zeros(0), np.zeros((0, 3)))

WATER = replace(
    from_geometry(np.array([8, 1, 1]), np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])),
    bonds=np.array([[0, 1, 1], [0, 2, 1]], dtype=np.int16),
)

HYDROXYL = Molecule(
    WATER.atomic_numbers[:2], WATER.pos[:2], WATER.formal_charge[:2], WATER.bonds[:1]
)
"""A radical."""

TWO_WATERS = Molecule(
    atomic_numbers=np.tile(WATER.atomic_numbers, 2),
    pos=np.concatenate([WATER.pos, WATER.pos + 5]),
    formal_charge=np.tile(WATER.formal_charge, 2),
    bonds=np.concatenate([WATER.bonds, WATER.bonds + np.array([3, 3, 0], dtype=np.int16)]),
)
"""Two fragments in one record."""

NOT_A_NUMBER = replace(
    WATER, pos=np.where(np.eye(3, dtype=bool), np.float32("nan"), WATER.pos).astype(np.float32)
)
"""Water with one NaN coordinate on each atom."""


def noisy(molecules: Sequence[Molecule], sigma: float) -> list[Molecule]:
    """Gaussian noise of a standard deviation in Å on every coordinate."""
    rng = np.random.default_rng(0)
    return [
        replace(m, pos=(m.pos + sigma * rng.standard_normal(m.pos.shape)).astype(np.float32))
        for m in molecules
    ]


def moved(molecule: Molecule, seed: int) -> Molecule:
    """The same molecule, rotated, shifted and with its atoms in another order."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation[:, 0] *= np.linalg.det(rotation)
    order = rng.permutation(molecule.n_atoms)
    bonds = molecule.bonds.copy()
    bonds[:, :2] = np.sort(np.argsort(order)[molecule.bonds[:, :2]], axis=1)
    pos = molecule.pos @ rotation + rng.normal(scale=5.0, size=3)
    return Molecule(
        atomic_numbers=molecule.atomic_numbers[order],
        pos=pos[order].astype(np.float32),
        formal_charge=molecule.formal_charge[order],
        bonds=bonds,
    )
