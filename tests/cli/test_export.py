"""``molgen export``: what docks is written and read back, what does not has a reason."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

from molgen.errors import ChemistryError
from molgen.export import FORMATS, FileFormat, exported, fault_of, from_pdbqt, pdbqt

needs_meeko = pytest.mark.skipif(find_spec("meeko") is None, reason="Meeko is not installed")

needs_openbabel = pytest.mark.skipif(
    find_spec("openbabel") is None, reason="Open Babel is not installed"
)

GOOD = {
    "serine": "N[C@@H](CO)C(=O)O",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CC[NH+](C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "trans": "C/C=C/CN",
    "benzene": "c1ccccc1",
}


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    return mol


def drawn(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDepictor.Compute2DCoords(mol)
    mol.GetConformer().Set3D(True)
    return mol


def squashed() -> Chem.Mol:
    """Bonds are as long as they should be, and all atoms lie in a plane."""
    mol = embedded("C")
    pos = np.array([[0, 0, 0], [1.09, 0, 0], [-1.09, 0, 0], [0, 1.09, 0], [0, -1.09, 0.0]])
    mol.GetConformer().SetPositions(pos)
    return mol


BAD = {
    "drawing": (drawn("CCO"), "3D"),
    "benzene_2d": (drawn("c1ccccc1"), "3D"),
    "squashed": (squashed(), "flat"),
    "bare": (Chem.RemoveHs(embedded("CCO")), "hydrogens are missing"),
    "salt": (embedded("CC(=O)[O-].[NH4+]"), "fragment"),
    "radical": (embedded("C[CH2]"), "radical"),
    "none": (Chem.AddHs(Chem.MolFromSmiles("CCO")), "no coordinates"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_docked_has_a_reason(name: str) -> None:
    mol, reason = BAD[name]
    assert reason in fault_of(mol)


@pytest.mark.parametrize("smiles", GOOD.values())
def test_a_geometry_has_no_fault(smiles: str) -> None:
    assert fault_of(embedded(smiles)) == ""


@needs_meeko
@pytest.mark.parametrize("smiles", GOOD.values())
def test_pdbqt_comes_back_with_graph_stereo_and_coordinates(smiles: str) -> None:
    mol = embedded(smiles)
    back = from_pdbqt(pdbqt(mol))
    assert Chem.MolToSmiles(Chem.RemoveHs(back)) == Chem.CanonSmiles(smiles)
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    there = np.sort(mol.GetConformer().GetPositions()[heavy].ravel())
    kept = [a.GetIdx() for a in back.GetAtoms() if a.GetAtomicNum() > 1]
    np.testing.assert_allclose(
        np.sort(back.GetConformer().GetPositions()[kept].ravel()), there, atol=2e-3
    )


@needs_meeko
def test_what_meeko_refuses_is_an_error() -> None:
    with pytest.raises(ChemistryError, match="Meeko"):
        pdbqt(Chem.RemoveHs(embedded("CCO")))


@pytest.mark.parametrize(
    "suffix",
    [
        "mol",
        "pdb",
        "xyz",
        pytest.param("pdbqt", marks=needs_meeko),
        pytest.param("mol2", marks=needs_openbabel),
    ],
)
def test_a_file_for_every_good_record_and_a_row_for_all(molgen: Callable, suffix: str) -> None:
    with Chem.SDWriter("in.sdf") as writer:
        for name, mol in [
            *((name, embedded(smiles)) for name, smiles in GOOD.items()),
            ("serine", embedded("OCCN")),
            ("a/b", embedded("CCO")),
            ("flat", drawn("CCO")),
            ("bare", Chem.RemoveHs(embedded("CCO"))),
        ]:
            mol.SetProp("_Name", name)
            writer.write(mol)
    answer = molgen("export", "in.sdf", "--to", suffix, "--out", "ligands")
    assert answer.status == 0, answer
    with Path("ligands/status.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok"] * 6 + ["failed"] * 2
    files = [row["file"] for row in rows if row["file"]]
    assert len(set(files)) == 6
    assert sorted(path.name for path in Path("ligands").iterdir()) == sorted([*files, "status.csv"])
    molgen("export", "in.sdf", "--to", suffix, "--out", "ligands").assert_one_line(1, "--force")
    molgen("export", "in.sdf", "--to", "pdf", "--out", "x").assert_one_line(2, "pdf")


def test_the_input_is_not_overwritten(molgen: Callable, tmp_path: Path) -> None:
    mol = embedded("CCO")
    mol.SetProp("_Name", "in")
    Chem.MolToMolFile(mol, str(tmp_path / "in.mol"))
    before = (tmp_path / "in.mol").read_bytes()
    answer = molgen("export", "in.mol", "--to", "mol", "--out", ".")
    answer.assert_one_line(2, "would overwrite", "in.mol")
    assert (tmp_path / "in.mol").read_bytes() == before


@pytest.mark.parametrize("suffix", ["mol", "pdb", pytest.param("mol2", marks=needs_openbabel)])
def test_drugs_come_back_from_every_format(suffix: str) -> None:
    cases = Path(__file__).parent.parent / "cases"
    for mol in Chem.SDMolSupplier(str(cases / "drugs20.sdf"), removeHs=False):
        if mol.GetProp("_Name") in {"naproxen_sodium", "metformin_cation"}:
            continue  # a salt; a cation that no format's charges tell from its resonance forms
        text = exported(mol, suffix)
        back = FORMATS[suffix].read(text)
        assert back.GetNumAtoms() == mol.GetNumAtoms()


def test_another_molecule_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    mol = embedded("N[C@@H](CO)C(=O)O")
    other = FileFormat(
        lambda _: Chem.MolToMolBlock(embedded("N[C@H](CO)C(=O)O")), FORMATS["mol"].read
    )
    monkeypatch.setattr("molgen.export.FORMATS", {"mol": other})
    with pytest.raises(ChemistryError, match="another molecule"):
        exported(mol, "mol")


def test_protonated_records_in_one_file(molgen: Callable) -> None:
    pytest.importorskip("dimorphite_dl")
    with Chem.SDWriter("in.sdf") as writer:
        for name, smiles in GOOD.items():
            mol = embedded(smiles)
            mol.SetProp("_Name", name)
            mol.SetProp("pic50", "7")
            writer.write(mol)
        writer.write(drawn("CCO"))
    answer = molgen("export", "in.sdf", "--to", "sdf", "--ph", "7.4", "--out", "out.sdf")
    assert answer.status == 0, answer
    assert "4 of 5 records as sdf at pH 7.4" in answer.err
    mols = list(Chem.SDMolSupplier("out.sdf"))
    assert Chem.MolToSmiles(mols[0]) == "[NH3+][C@@H](CO)C(=O)[O-]"
    assert {mol.GetProp("pic50") for mol in mols} == {"7"}
    molgen("export", "in.sdf", "--to", "smi", "--out", "out.smi")
    assert Path("out.smi").read_text().splitlines()[0] == "N[C@@H](CO)C(=O)O\tserine"
    again = molgen("export", "in.sdf", "--to", "sdf", "--out", "in.sdf", "--force")
    again.assert_one_line(2, "would overwrite")


@pytest.mark.slow
def test_files_of_other_ring_conformations(molgen: Callable) -> None:
    with Chem.SDWriter("in.sdf") as writer:
        for name, smiles in [("ring", "C[C@H]1CC[C@@H](N)CC1"), ("flat", "c1ccccc1")]:
            mol = embedded(smiles)
            mol.SetProp("_Name", name)
            writer.write(mol)
    answer = molgen("export", "in.sdf", "--to", "mol", "--ring-conformers", "3", "--out", "out")
    assert answer.status == 0, answer
    with Path("out/status.csv").open() as file:
        ring, flat = csv.DictReader(file)
    assert ring["file"].split()[:2] == ["ring_r1.mol", "ring_r2.mol"]
    assert flat["file"] == "flat.mol"


@needs_meeko
@pytest.mark.parametrize("smiles", ["C[C@@H]1CCC[C@@H]2O[C@]12C", "CN1CO[C@@H]2O[C@@H]2[C@H]1N"])
def test_strained_rings_are_the_same_molecule(smiles: str) -> None:
    mol = embedded(smiles)
    assert exported(mol, "pdbqt")


def test_titles_that_are_one_file_name_are_two_files(molgen: Callable) -> None:
    with Chem.SDWriter("in.sdf") as writer:
        for name, smiles in (("a/b", "CCO"), ("a_b", "CCN")):
            mol = embedded(smiles)
            mol.SetProp("_Name", name)
            writer.write(mol)
    molgen("export", "in.sdf", "--to", "mol", "--out", "out")
    names = sorted(path.name for path in Path("out").glob("*.mol"))
    assert names == ["a_b.mol", "a_b_row2.mol"]
    found = [Chem.MolToSmiles(Chem.MolFromMolFile(f"out/{name}")) for name in names]
    assert found == ["CCO", "CCN"]
