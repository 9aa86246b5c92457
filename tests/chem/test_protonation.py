from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.chem.protonation import at_ph, graph_at_ph
from molgen.cli import run
from molgen.errors import UsageError
from molgen.export import fault_of

pytest.importorskip("dimorphite_dl")


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    mol.SetProp("_Name", "x")
    return mol


@pytest.mark.parametrize(
    ("smiles", "ph", "state"),
    [
        ("CC(=O)O", 7.4, "CC(=O)[O-]"),
        ("CC(=O)O", 2, "CC(=O)O"),
        ("CC(=O)[O-]", 2, "CC(=O)O"),
        ("NCc1ccccc1", 7.4, "[NH3+]Cc1ccccc1"),
        ("[NH3+]Cc1ccccc1", 13, "NCc1ccccc1"),
        ("C[C@H](N)C(=O)O", 7.4, "C[C@H]([NH3+])C(=O)[O-]"),
        ("C[C@@H](N)C(=O)O", 7.4, "C[C@@H]([NH3+])C(=O)[O-]"),
        ("NC(=N)c1ccccc1", 7.4, "NC(=[NH2+])c1ccccc1"),
        ("C/C=C/CN", 7.4, "C/C=C/C[NH3+]"),
        ("Cc1ccccc1", 7.4, "Cc1ccccc1"),
    ],
)
def test_states(smiles: str, ph: float, state: str) -> None:
    mol = embedded(smiles)
    found = at_ph(mol, ph)
    assert Chem.MolToSmiles(Chem.RemoveHs(found)) == Chem.CanonSmiles(state)
    assert fault_of(found) == ""  # hydrogens are placed in 3D
    assert found.GetProp("_Name") == "x"
    heavy = [
        one.GetConformer().GetPositions()[[a.GetAtomicNum() > 1 for a in one.GetAtoms()]]
        for one in (mol, found)
    ]
    np.testing.assert_array_equal(*heavy)
    Chem.AssignStereochemistryFrom3D(found)
    assert Chem.MolToSmiles(Chem.RemoveHs(found)) == Chem.CanonSmiles(state)


def test_a_ph_is_a_number_from_0_to_14() -> None:
    with pytest.raises(UsageError, match="pH 15"):
        at_ph(embedded("C"), 15)


def test_a_graph_keeps_the_order_of_its_atoms() -> None:
    mol = Chem.MolFromSmiles("OC(=O)CC[C@H](N)C(=O)O")
    found = graph_at_ph(mol, 7.4)
    symbols = [[atom.GetSymbol() for atom in one.GetAtoms()] for one in (mol, found)]
    assert symbols[0] == symbols[1]
    assert Chem.MolToSmiles(found) == Chem.CanonSmiles("[O-]C(=O)CC[C@H]([NH3+])C(=O)[O-]")
    full = graph_at_ph(Chem.AddHs(mol), 7.4)
    assert full.GetNumAtoms() == Chem.AddHs(found).GetNumAtoms()


@pytest.mark.slow
def test_conformers_of_the_state_at_a_ph(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ["CC(=O)O", "NCCc1ccccc1", "nope"]
    found = list(molgen.conformers(given, n=1, ph=7.4))
    smiles = [Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in found[:2]]
    assert smiles == ["CC(=O)[O-]", "[NH3+]CCc1ccccc1"]
    assert found[2].GetProp("molgen_status") == "failed"
    out = tmp_path / "a.sdf"
    assert run(["conformers", "CC(=O)O", "--n", "1", "--ph", "7.4", "--out", str(out)]) == 0
    assert next(iter(Chem.SDMolSupplier(str(out)))).GetProp("molgen_ph") == "7.4"
    assert run(["refine", str(out), "--ph", "7.4", "--out", str(tmp_path / "b.sdf")]) == 2
    capfd.readouterr()
