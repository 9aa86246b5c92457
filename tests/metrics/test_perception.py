from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds

from molgen.chem.molecule import Molecule, from_geometry
from molgen.metrics.perception import perceive, perceive_all

from .builders import HYDROXYL, NO_ATOMS, NOT_A_NUMBER, TWO_WATERS, WATER, moved, noisy


@pytest.fixture
def endless() -> Molecule:
    """A ring of 25 sulphur atoms with one hydrogen: RDKit tries 3**25 sets of valences."""
    angle = np.arange(25) * 2 * np.pi / 25
    radius = 2.05 / 2 / np.sin(np.pi / 25)
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
    return from_geometry(
        np.array([16] * 25 + [1]), np.concatenate([ring, [[radius + 1.35, 0.0, 0.0]]])
    )


def test_real_molecules_reach_the_ceiling(real: list[Molecule]) -> None:
    share = np.mean([perceive(molecule).is_valid for molecule in real])
    assert share >= 0.97


def test_noise_of_a_bond_length_percent_is_forgiven(real: list[Molecule]) -> None:
    share = np.mean([perceive(molecule).is_valid for molecule in noisy(real, 0.03)])
    assert share >= 0.96


def test_same_verdict_as_from_an_xyz_block(real: list[Molecule]) -> None:
    symbol = Chem.GetPeriodicTable().GetElementSymbol
    for molecule in real[:40]:
        rows = zip(molecule.atomic_numbers.tolist(), molecule.pos.tolist(), strict=True)
        block = "\n".join(f"{symbol(z)} {x:.7f} {y:.7f} {w:.7f}" for z, (x, y, w) in rows)
        mol = Chem.MolFromXYZBlock(f"{molecule.n_atoms}\n\n{block}\n")
        try:
            rdDetermineBonds.DetermineBonds(
                mol, charge=0, allowChargedFragments=False, embedChiral=True
            )
        except ValueError:
            assert not perceive(molecule).is_valid
            continue
        found = perceive(molecule)
        assert found.molecule is not None
        assert found.molecule.n_bonds == mol.GetNumBonds()


@settings(max_examples=30)
@given(index=st.integers(0, 299), seed=st.integers(0, 2**32 - 1))
def test_frame_and_order_do_not_matter(real: list[Molecule], index: int, seed: int) -> None:
    assert perceive(moved(real[index], seed)).smiles == perceive(real[index]).smiles


def test_own_bonds_and_charges_are_not_read() -> None:
    bare = from_geometry(WATER.atomic_numbers, WATER.pos)
    assert perceive(bare).smiles == perceive(WATER).smiles == "O"


def test_reasons() -> None:
    assert perceive(TWO_WATERS).reason == "fragments"
    assert perceive(NO_ATOMS).reason == "no atoms"
    assert perceive(NOT_A_NUMBER).reason == "coordinates not finite"
    assert not perceive(HYDROXYL).is_valid


def test_a_hung_molecule_is_killed_and_the_rest_is_done(endless: Molecule) -> None:
    found = perceive_all([WATER, endless, WATER], n_workers=1, time_limit_s=0.5)
    assert [record.smiles for record in found] == ["O", None, "O"]
    assert found[1].reason == "time limit"


def test_progress_counts_to_n() -> None:
    seen: list[int] = []
    perceive_all([WATER] * 3, n_workers=1, progress=seen.append)
    assert seen == [1, 2, 3]
