from __future__ import annotations

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.errors import UsageError

pytest.importorskip("py3Dmol")


def embedded(smiles: str, n: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=2)) == n
    return mol


def test_a_cell_for_each_conformer_with_its_legend() -> None:
    mol = embedded("CCO", 2)
    mol.SetProp("_Name", "ethanol")
    page = molgen.view([mol, embedded("CCN")])._make_html()
    assert page.count("addModel(") == 3
    assert page.count("ethanol") >= 2
    assert "benzamine" in molgen.view(mol, legends=["benzamine", "b"])._make_html()


def test_conformers_are_laid_over_each_other() -> None:
    page = molgen.view(embedded("CCCCO", 4), overlay=True)._make_html()
    assert page.count("addModel(") == 4


def test_nothing_and_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="0 conformers"):
        molgen.view([])
    with pytest.raises(UsageError, match="65 conformers"):
        molgen.view([embedded("C")] * 65)


def test_a_generator_says_what_it_is() -> None:
    assert repr(molgen.load()) == "<molgen Generator 'qm9-few': H C N O F, on cpu>"
