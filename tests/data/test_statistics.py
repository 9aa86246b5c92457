from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from molgen.chem.molecule import bond_matrix
from molgen.data.statistics import Statistics, statistics_of_split
from molgen.data.store import MoleculeStore


def test_counts_are_those_of_the_molecules(sample: MoleculeStore) -> None:
    molecules = [sample[int(index)] for index in sample.split("val")]
    found = statistics_of_split(sample, "val")
    assert found.n_atoms == Counter(molecule.n_atoms for molecule in molecules)
    assert found.elements == Counter(z for m in molecules for z in m.atomic_numbers.tolist())
    assert found.charges == Counter(c for m in molecules for c in m.formal_charge.tolist())
    pairs = Counter[int]()
    for molecule in molecules:
        upper = np.triu_indices(molecule.n_atoms, 1)
        pairs.update(bond_matrix(molecule)[upper].tolist())
    assert found.bond_classes == tuple(pairs[order] for order in range(5))
    assert found.n_molecules == 30


def test_fractions_add_up_to_one(sample: MoleculeStore) -> None:
    found = statistics_of_split(sample, "train")
    tables = [found.size_fractions, found.element_fractions, found.charge_fractions]
    for table in tables:
        assert sum(table.values()) == pytest.approx(1)
    assert sum(found.bond_class_fractions) == pytest.approx(1)
    assert found.element_fractions[1] == pytest.approx(0.51, abs=0.03)


def test_survives_json(sample: MoleculeStore) -> None:
    found = statistics_of_split(sample, "test")
    assert Statistics.from_dict(json.loads(json.dumps(found.to_dict()))) == found
