from __future__ import annotations

import numpy as np
import pytest

from molgen.chem.molecule import Molecule
from molgen.metrics.relax import relax, relax_all

from .builders import NO_ATOMS, NOT_A_NUMBER, TWO_WATERS, moved, noisy


def test_real_molecules_lie_near_a_minimum(real: list[Molecule]) -> None:
    records = [relax(molecule) for molecule in real[:100]]
    assert not any(record.reason for record in records)
    assert 0.03 < np.median([record.rmsd for record in records]) < 0.2
    assert 1.0 < np.median([record.energy_drop for record in records]) < 8.0
    assert all(record.energy_drop >= 0 for record in records)


def test_noise_costs_distance_and_energy(real: list[Molecule]) -> None:
    clean = [relax(molecule) for molecule in real[50:70]]
    shaken = [relax(molecule) for molecule in noisy(real[50:70], 0.1)]
    assert np.median([r.rmsd for r in shaken]) > np.median([r.rmsd for r in clean])
    assert min(r.energy_drop for r in shaken) > 10.0


def test_frame_and_order_do_not_matter(real: list[Molecule]) -> None:
    for index in (20, 120, 220):
        record, other = relax(real[index]), relax(moved(real[index], index))
        assert other.energy_drop == pytest.approx(record.energy_drop, abs=0.02)
        assert other.rmsd == pytest.approx(record.rmsd, abs=0.02)
        assert other.heavy_rmsd == pytest.approx(record.heavy_rmsd, abs=0.02)


def test_what_cannot_be_relaxed_says_why() -> None:
    for record in relax_all([TWO_WATERS, NO_ATOMS, NOT_A_NUMBER], n_workers=1):
        assert record.rmsd is None
        assert record.energy_drop is None
        assert record.reason
