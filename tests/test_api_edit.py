"""Editing given molecules from Python, with a tiny untrained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.errors import UsageError


@pytest.fixture(scope="module")
def generator(tiny_weights: Path) -> molgen.Generator:
    """The tiny model, loaded."""
    return molgen.load(tiny_weights, device="cpu")


def embedded(smiles: str, title: str = "") -> Chem.Mol:
    """A molecule with all hydrogens and a conformer."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    if title:
        mol.SetProp("_Name", title)
    return mol


def test_vary_gives_labelled_molecules_in_order(generator: molgen.Generator) -> None:
    given = [embedded("CO", "methanol"), embedded("CN")]
    mols = generator.vary(given, n=2, strength=0.4, steps=2, seed=1)
    assert [mol.GetProp("_Name") for mol in mols] == [f"tiny-vary-s1-k2-{i}" for i in range(4)]
    sources = [mol.GetProp("molgen_source") for mol in mols]
    assert sources == ["methanol", "methanol", "mols, record 2", "mols, record 2"]
    for index, mol in enumerate(mols):
        assert mol.GetNumConformers() == 1
        assert mol.GetNumAtoms() == given[index // 2].GetNumAtoms()
        assert mol.GetProp("molgen_strength") == "0.4"
        assert (mol.GetProp("molgen_valid") == "true") == (not mol.GetProp("molgen_reason"))
    [alone] = generator.vary(given[0], n=1, strength=0.4, steps=2, seed=1)
    pos = [mol.GetConformer().GetPositions() for mol in (alone, mols[0])]
    assert np.abs(pos[0] - pos[1]).max() < 1e-3


def test_edited_molecules_can_be_relaxed(generator: molgen.Generator) -> None:
    mols = generator.vary(embedded("CO"), n=2, strength=0.4, steps=2, relax=True)
    assert all(mol.HasProp("molgen_relaxed") for mol in mols)


def test_wrong_requests_fail_at_once(generator: molgen.Generator) -> None:
    with pytest.raises(UsageError, match="strength is 2"):
        generator.vary(embedded("CO"), strength=2)
    with pytest.raises(UsageError, match=r"mols, record 1 lacks 4 hydrogens"):
        generator.vary(Chem.RemoveHs(embedded("CO")))
