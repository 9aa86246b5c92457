"""Strict stability by Open Babel's bonds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from molgen.chem.molecule import Molecule
from molgen.chem.read import read_records
from molgen.integrations.openbabel import is_stable, perceived_bonds

WATER = Molecule(
    atomic_numbers=np.array([1, 8, 1], dtype=np.uint8),
    pos=np.array([[0.96, 0, 0], [0, 0, 0], [-0.24, 0.93, 0]], dtype=np.float32),
    formal_charge=np.zeros(3, dtype=np.int8),
    bonds=np.zeros((0, 3), dtype=np.int16),
)


def test_bonds_are_perceived_from_coordinates() -> None:
    assert sorted(perceived_bonds(WATER).tolist()) == [[0, 1, 1], [1, 2, 1]]
    assert is_stable(WATER)


def test_missing_atoms_pieces_and_nonsense_are_unstable() -> None:
    assert not is_stable(replace(WATER, pos=WATER.pos * [[1], [1], [9]]))
    assert not is_stable(replace(WATER, pos=np.full((3, 3), np.nan, dtype=np.float32)))
    assert not is_stable(replace(WATER, atomic_numbers=np.array([1, 7, 1], dtype=np.uint8)))
    two = Molecule(
        atomic_numbers=np.tile(WATER.atomic_numbers, 2),
        pos=np.concatenate([WATER.pos, WATER.pos + 10]),
        formal_charge=np.zeros(6, dtype=np.int8),
        bonds=WATER.bonds,
    )
    assert not is_stable(two)


def test_real_molecules_are_mostly_stable(sample_sdf: Path) -> None:
    """About 95 % of QM9 pass; 60 molecules would fall below 50 passes once in 10,000 samples."""
    molecules = [record.molecule for record in list(read_records(sample_sdf))[:60]]
    assert sum(is_stable(molecule) for molecule in molecules if molecule) >= 50
