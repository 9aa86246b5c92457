from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rdkit
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol
from molgen.data.reference import (
    hash_of,
    load_reference,
    make_reference,
    read_reference,
    save_reference,
)
from molgen.data.statistics import Statistics
from molgen.data.store import MoleculeStore
from molgen.errors import DataError

NOTHING = Statistics({}, {}, {}, (0,) * 5)


@given(st.sets(st.text()), st.text())
def test_a_reference_knows_its_own_and_no_other(known: set[str], other: str) -> None:
    reference = make_reference("mine", known, NOTHING, "1")
    assert all(reference.knows(smiles) for smiles in known)
    assert reference.knows(other) == (other in known)


def test_the_hash_never_changes() -> None:
    assert int(hash_of("CCO")) == 14074757553414938733


def test_round_trip(tmp_path: Path) -> None:
    statistics = Statistics({3: 1, 9: 2}, {1: 5, 8: 1}, {0: 6}, (1, 2, 0, 0, 0))
    reference = make_reference("mine", ["O", "CCO", "O"], statistics, "2026.9")
    save_reference(tmp_path / "mine.npz", reference)
    back = read_reference(tmp_path / "mine.npz")
    assert np.array_equal(back.hashes, reference.hashes)
    assert len(back.hashes) == 2
    assert (back.name, back.rdkit) == ("mine", "2026.9")
    assert (back.atom_counts, back.element_counts) == ({3: 1, 9: 2}, {1: 5, 8: 1})


def test_the_shipped_reference_is_the_training_split() -> None:
    reference = load_reference("qm9")
    assert sum(reference.atom_counts.values()) == 105_403
    assert len(reference.hashes) == 105_341
    assert (np.diff(reference.hashes.astype(object)) > 0).all()
    assert set(reference.element_counts) == {1, 6, 7, 8, 9}
    assert (min(reference.atom_counts), max(reference.atom_counts)) == (3, 29)


@pytest.mark.skipif(
    rdkit.__version__ != load_reference("qm9").rdkit,
    reason="canonical SMILES belong to one version of RDKit",
)
def test_training_molecules_are_known_and_test_molecules_novel(sample: MoleculeStore) -> None:
    reference = load_reference("qm9")
    train = ["N", "O", "C#C", "C=O", "CC", "CO", "CC#N", "NC=O", "CCC"]
    assert all(reference.knows(smiles) for smiles in train)
    names = [constitution(build_mol(sample[index]).mol) for index in range(len(sample))]
    assert sum(reference.knows(name) for name in names) <= 3  # two numbers, one constitution


def test_an_unknown_name_is_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no reference named "qm8"'):
        load_reference("qm8")
    (tmp_path / "x.npz").write_text("text")
    for name in ("x.npz", "missing.npz"):
        with pytest.raises(DataError, match="is not a readable reference"):
            read_reference(tmp_path / name)
