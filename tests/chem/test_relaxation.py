"""Relaxation moves atoms, says what it did, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molgen.chem.force_field import FORCE_FIELD
from molgen.chem.mol import build_mol, smiles_of
from molgen.chem.molecule import Molecule
from molgen.chem.relaxation import LABEL, Relaxation

from .builders import AROMATIC_ONES, CHARGED, STORE, molecule

SOME = [*AROMATIC_ONES[:3], *CHARGED[:3], 20, 90, 210]


def shaken(index: int, noise: float = 0.1) -> Molecule:
    """A real molecule with its atoms displaced, in Å."""
    rng, real = np.random.default_rng(index), STORE[index]
    return replace(real, pos=(real.pos + rng.normal(scale=noise, size=real.pos.shape)).astype("f4"))


def test_the_label_names_the_force_field() -> None:
    assert LABEL.startswith(FORCE_FIELD)


@pytest.mark.parametrize("index", SOME)
def test_only_positions_change(index: int) -> None:
    start = shaken(index)
    done = Relaxation()(0, start)
    assert done.note == LABEL
    assert done.built.is_valid
    for name in ("atomic_numbers", "formal_charge", "bonds"):
        assert np.array_equal(getattr(done.molecule, name), getattr(start, name))
    assert done.molecule.pos.dtype == np.float32
    assert 0.01 < np.abs(done.molecule.pos - start.pos).max() < 1.0
    conformer = done.built.mol.GetConformer().GetPositions()
    assert np.array_equal(conformer.astype(np.float32), done.molecule.pos)
    assert smiles_of(done.built.mol) == smiles_of(build_mol(done.molecule).mol)


@pytest.mark.parametrize("index", SOME)
def test_rounding_before_stays_rounding_after(index: int) -> None:
    """Batches differ by 1e-6 Å; a minimiser that is cut off early would make that visible."""
    start = shaken(index, 0.2)
    rng = np.random.default_rng(0)
    other = replace(
        start, pos=start.pos + rng.normal(scale=1e-6, size=start.pos.shape).astype("f4")
    )
    one, two = (Relaxation()(0, each).molecule.pos for each in (start, other))
    assert np.abs(one - two).max() < 1e-3


def test_molecules_take_their_numbers_of_fixed_atoms_in_turn() -> None:
    start, relaxing = shaken(90), Relaxation((0, 4))
    for index in range(4):
        moved = np.abs(relaxing(index, start).molecule.pos - start.pos).max(axis=1) > 0
        assert moved[4:].any()
        assert moved[:4].any() == (index % 2 == 0)


def test_a_molecule_with_a_fault_stays_as_it_is() -> None:
    radical = molecule("O H", [(0, 1, 1)])
    done = Relaxation()(0, radical)
    assert done.molecule is radical
    assert done.built.reason == build_mol(radical).reason
    assert done.note == f"no ({done.built.reason})"


def test_a_molecule_that_the_field_does_not_know_is_valid_all_the_same() -> None:
    boron = molecule("B H H H", [(0, 1, 1), (0, 2, 1), (0, 3, 1)])
    done = Relaxation()(0, boron)
    assert done.molecule is boron
    assert done.built.is_valid
    assert done.note == "no (MMFF94s failed)"
