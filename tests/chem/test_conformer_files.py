"""Inputs of conformers: as many rows out as there are in the file, whatever they hold."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
from rdkit import Chem

from molgen.chem.conformers.files import Inputs, NamedMolecule
from molgen.errors import DataError


def read(path: Path | str, *columns: str) -> list[NamedMolecule]:
    return [row.read() for row in Inputs(str(path), *columns).rows()]


def described(found: list[NamedMolecule]) -> list[tuple[str, str]]:
    return [(one.name, Chem.MolToSmiles(one.mol) if one.mol else one.reason) for one in found]


ETHANOL = "".join(f"{Chem.MolToMolBlock(Chem.MolFromSmiles('CCO'))}>  <activity>\n7\n\n$$$$\n")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.smi", "CCO one\n\nnope three\nCCO one\n"),
        ("a.csv", 'ID,SMILES,note\none,CCO,"a, b"\n,,\nthree,nope,\none,CCO,\n'),
        ("a.tsv", "canonical_smiles\tname\nCCO\tone\n\t\nnope\tthree\nCCO\tone\n"),
    ],
)
def test_every_row_counts(tmp_path: Path, name: str, text: str, packed: bool) -> None:
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    wanted = [("one", "CCO"), ("mol2", "empty"), ("three", "not a SMILES"), ("one-4", "CCO")]
    assert described(read(path)) == wanted
    n, digest = Inputs(str(path)).survey()
    assert n == 4
    assert len(digest) == 16


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("smiles,structure,code\nC,CCO,x\n")
    assert described(read(path, "structure", "code")) == [("x", "CCO")]
    with pytest.raises(DataError, match="no column other"):
        read(path, "other")
    path.write_text("structure\nCCO\n")
    with pytest.raises(DataError, match="no column smiles"):
        read(path)


def test_records_keep_title_atoms_and_properties(tmp_path: Path) -> None:
    path = tmp_path / "a.sdf"
    path.write_text(ETHANOL.replace("\n", "first\n", 1) + "broken one\n\n\nxx\n$$$$\n" + ETHANOL)
    found = read(path)
    assert [one.name for one in found] == ["first", "broken_one", "mol3"]
    assert [one.mol is not None for one in found] == [True, False, True]
    assert found[1].reason
    assert found[2].mol is not None
    assert found[2].mol.GetProp("activity") == "7"


def test_hydrogens_of_a_record_stay_where_they_are(tmp_path: Path) -> None:
    mol = Chem.RenumberAtoms(Chem.AddHs(Chem.MolFromSmiles("CO")), [5, 0, 2, 1, 3, 4])
    (tmp_path / "a.sdf").write_text(Chem.MolToMolBlock(mol))
    (found,) = read(tmp_path / "a.sdf")
    assert found.mol is not None
    assert [a.GetSymbol() for a in found.mol.GetAtoms()] == ["H", "C", "H", "O", "H", "H"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CCO one\nC two\n", [("one", "CCO"), ("two", "C")]),
        ("name,smiles\none,CCO\n", [("one", "CCO")]),
        (ETHANOL, [("mol1", "CCO")]),
        ("", []),
    ],
)
def test_standard_input_says_by_itself_what_it_is(
    monkeypatch: pytest.MonkeyPatch, text: str, wanted: list[tuple[str, str]]
) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))
    monkeypatch.setattr(sys, "stdin", stream)
    assert described(read("-")) == wanted
    assert Inputs("-").survey() == (None, "")


def test_a_smiles_and_what_is_neither(tmp_path: Path) -> None:
    assert described(read("C[N](C)(C)C"))[0][1].startswith("Explicit valence")
    assert described(read("F/C=C/F")) == [("mol1", "F/C=C/F")]
    (tmp_path / "a.xyz").write_text("1\n\nH 0 0 0\n")
    with pytest.raises(DataError, match="unknown format"):
        read(tmp_path / "a.xyz")
