"""What is written is read back by other programs, whatever the molecule and the stream."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rdkit import Chem

from molgen.chem.io import FORMATS, open_writer, read_records
from molgen.chem.mol import build_mol
from molgen.chem.naming import name_of

from .builders import STORE

CASES = Path(__file__).parent.parent / "cases"


def test_ase_reads_every_key_of_an_xyz_comment(tmp_path: Path) -> None:
    ase_io = pytest.importorskip("ase.io")
    path = tmp_path / "a.xyz"
    tags = {
        "molgen_run": "ab12", "molgen_reason": "", "smiles": r"C/C=C\C", "quoted": 'a "b" c',
        "molgen_valid": True,
    }  # fmt: skip
    with open_writer(path) as writer:
        writer.write(build_mol(STORE[0]).mol, "one-0", tags)
    info = ase_io.read(path, format="extxyz").info
    assert info["smiles"] == tags["smiles"]
    assert info["quoted"] == tags["quoted"]
    assert str(info["molgen_run"]) == "ab12"
    assert "molgen_reason" not in info
    (record,) = read_records(path)
    assert (record.tags["smiles"], record.tags["quoted"]) == (tags["smiles"], tags["quoted"])


def test_stereo_that_the_geometry_does_not_bear_out_is_left_out() -> None:
    for record in read_records(CASES / "stereo_field.sdf"):
        assert record.molecule is not None
        name = name_of(build_mol(record.molecule).mol)
        assert not name.is_settled
        assert not set(name.smiles) & set("@/\\")
    for record in read_records(CASES / "ag_a.sdf"):
        assert record.molecule is not None
        name = name_of(build_mol(record.molecule).mol)
        assert name.is_settled
        assert ("@" in name.smiles) == (record.title == "R")
        assert ("/" in name.smiles) == (record.title == "E-butene")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_cannot_be_sanitised_is_written(suffix: str) -> None:
    mol = Chem.MolFromSmiles("C=C", sanitize=False)
    for atom in mol.GetAtoms():
        atom.SetIsAromatic(True)
    mol.GetBondWithIdx(0).SetIsAromatic(True)
    mol.GetBondWithIdx(0).SetBondType(Chem.BondType.AROMATIC)
    mol.UpdatePropertyCache(strict=False)
    mol.AddConformer(Chem.Conformer(2))
    text = FORMATS[suffix].render(mol, "odd-0", {"molgen_reason": "cannot kekulize"})
    assert "cannot kekulize" in text


def test_standard_output_without_bytes_takes_records(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    with open_writer("-") as writer:
        writer.write(build_mol(STORE[0]).mol, "one", {})
    assert text.getvalue().endswith("$$$$\n")
