from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.chem.mol import build_mol, molecule_of
from molgen.config.dataset import load_dataset
from molgen.data.splits import split_codes
from molgen.data.store import MoleculeStore

DATA = Path(__file__).resolve().parents[2] / "data"


def test_the_sample_is_whole_and_from_the_test_split(sample: MoleculeStore) -> None:
    sample.verify()
    assert len(sample) == 300
    assert (split_codes(load_dataset("qm9"), sample.source_index, []) == 2).all()
    assert [len(sample.split(name)) for name in ("train", "val", "test")] == [240, 30, 30]


def test_every_molecule_of_the_sample_is_valid(sample: MoleculeStore) -> None:
    assert [build_mol(sample[index]).reason for index in range(len(sample))] == [""] * 300


def test_the_sdf_holds_the_same_molecules(sample: MoleculeStore, sample_sdf: Path) -> None:
    mols = list(Chem.SDMolSupplier(str(sample_sdf), removeHs=False))
    assert len(mols) == len(sample)
    for index, mol in enumerate(mols):
        assert mol.GetProp("_Name") == f"qm9_{sample.source_index[index]:06d}"
        here, there = sample[index], molecule_of(mol)
        assert np.array_equal(here.atomic_numbers, there.atomic_numbers)
        assert np.array_equal(here.formal_charge, there.formal_charge)
        assert np.array_equal(here.bonds, there.bonds)
        assert there.pos == pytest.approx(here.pos, abs=1e-4)


def test_the_readme_names_the_right_checksums() -> None:
    listed = re.findall(
        r"^([0-9a-f]{64})  (sample\S+)$", (DATA / "README.md").read_text(), re.MULTILINE
    )
    assert [name for _, name in listed] == ["sample.sdf", "sample/manifest.json"]
    for digest, name in listed:
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest
