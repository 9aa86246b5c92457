from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molgen.chem.molecule import Molecule
from molgen.metrics.compare import compare, heavy_atom_rmsd
from molgen.metrics.geometry import radii_of_gyration

from .builders import TWO_WATERS, WATER, moved, noisy


def test_the_same_compound_in_another_frame_is_at_zero(real: list[Molecule]) -> None:
    for index in range(0, 300, 15):
        pair = real[index], moved(real[index], index)
        assert heavy_atom_rmsd(pair).rmsd == pytest.approx(0.0, abs=1e-3)


def test_displacement_shows(real: list[Molecule]) -> None:
    shaken = noisy(real[200:210], 0.1)
    found = [heavy_atom_rmsd(pair).rmsd for pair in zip(real[200:210], shaken, strict=True)]
    # Superposition takes 6 of the 3 n = 27 degrees of freedom; sqrt(3) * 0.1 remains of the rest.
    assert np.mean(found) == pytest.approx(0.1 * np.sqrt(3 * 21 / 27), rel=0.25)


def test_different_compounds_have_no_rmsd(real: list[Molecule]) -> None:
    assert heavy_atom_rmsd((real[250], real[260])).rmsd is None
    assert heavy_atom_rmsd((WATER, TWO_WATERS)).reason == "invalid molecule"


def test_pairs_go_as_far_as_the_shorter_set(real: list[Molecule]) -> None:
    found = compare(real[:8], real[:5])
    assert found.n == 5
    assert found.rmsd.n == 5
    assert found.to_dict()["heavy_atom_rmsd"]["median"] == pytest.approx(0.0, abs=1e-6)


def test_distributions_move_with_the_geometry(real: list[Molecule]) -> None:
    swollen = [replace(molecule, pos=molecule.pos * np.float32(1.02)) for molecule in real]
    found = compare(swollen, real, n_workers=2)
    assert found.bond_length.mean == pytest.approx(0.02 * 1.25, rel=0.15)
    assert found.bond_angle.mean == pytest.approx(0.0, abs=1e-3)
    assert found.ring_size_tv == 0
    assert found.ring_count_tv == 0
    radii = radii_of_gyration(real)
    assert found.gyration == pytest.approx(0.02 * radii.mean(), rel=1e-4)
