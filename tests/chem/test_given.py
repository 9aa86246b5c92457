"""Molecules from callers: their records, their hydrogens, their likeness."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.given import missing_hydrogens, record_of, similarity
from molgen.chem.read import read_records


def test_a_record_of_a_molecule_holds_its_atoms_and_title() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    assert record_of(mol).reason == "the molecule has no conformer"
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("_Name", " methanol ")
    record = record_of(mol, 3)
    assert (record.index, record.title, record.reason) == (3, "methanol", "")
    assert record.molecule is not None
    assert record.molecule.formula == "CH4O"


def test_real_molecules_miss_no_hydrogen(sample_sdf: Path) -> None:
    for record in read_records(sample_sdf):
        assert record.mol is not None
        assert missing_hydrogens(record.mol) == 0


@pytest.mark.parametrize(("smiles", "n"), [("CC", 6), ("c1ccccc1", 6), ("[CH3-]", 3), ("O=C=O", 0)])
def test_missing_hydrogens_are_counted(smiles: str, n: int) -> None:
    assert missing_hydrogens(Chem.MolFromSmiles(smiles)) == n
    assert missing_hydrogens(Chem.AddHs(Chem.MolFromSmiles(smiles))) == 0


def test_likeness_ignores_hydrogens_and_needs_two_sound_molecules() -> None:
    ethanol, other = Chem.MolFromSmiles("CCO"), Chem.MolFromSmiles("CCN")
    assert similarity(ethanol, Chem.AddHs(ethanol)) == 1.0
    assert 0 < (similarity(ethanol, other) or 0) < 1
    assert similarity(ethanol, Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False)) is None
