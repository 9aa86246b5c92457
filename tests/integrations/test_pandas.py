from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.chem.parquet import GROUP, read_parquet, write_parquet
from molgen.chem.read import read_records
from molgen.cli import run
from molgen.errors import DataError

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

CASES = Path(__file__).parent.parent / "cases"


def embedded(smiles: str, n: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=2)) == n
    mol.SetProp("_Name", smiles)
    mol.SetProp("pic50", "6.5")
    return mol


def test_molecules_are_rows_that_pandastools_draws() -> None:
    frame = molgen.to_dataframe([embedded("CCO"), embedded("CCCN", 3)])
    assert list(frame["title"]) == ["CCO", "CCCN", "CCCN", "CCCN"]
    assert list(frame.columns[:3]) == ["title", "smiles", "ROMol"]
    assert [mol.GetNumConformers() for mol in frame["ROMol"]] == [1] * 4
    assert frame["pic50"].iloc[0] == 6.5


def test_verdicts_are_rows() -> None:
    found = molgen.evaluate([embedded("CCO"), Chem.RemoveHs(embedded("CCN"))], reference=None)
    frame = molgen.to_dataframe(found)
    assert list(frame["valid"]) == [True, False]
    assert frame["record"].iloc[1].startswith("hydrogens missing")
    assert frame["qed"].iloc[0] == pytest.approx(0.407, abs=0.01)
    assert pd.isna(frame["qed"].iloc[1])


def test_parquet_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    records = list(read_records(CASES / "drugs20.sdf"))
    n = write_parquet(path, ((one.mol, one.title, one.tags) for one in records))
    assert n == 20
    for before, after in zip(records, read_records(path), strict=True):
        assert (before.title, before.index) == (after.title, after.index)
        assert Chem.MolToMolBlock(before.mol) == Chem.MolToMolBlock(after.mol)
        assert before.tags.items() <= after.tags.items()
    frame = pd.read_parquet(path)
    assert list(frame["title"]) == [one.title for one in records]


def test_a_later_field_is_refused_and_not_lost(tmp_path: Path) -> None:
    mol = embedded("C")
    rows = [(mol, "a", {"x": 1})] * GROUP + [(mol, "b", {"y": 1})]
    with pytest.raises(DataError, match=f"record {GROUP + 1} has a field 'y'"):
        write_parquet(tmp_path / "a.parquet", rows)


def test_what_is_no_table_of_molecules_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="as Parquet"):
        list(read_records(path))
    pd.DataFrame({"smiles": ["CCO"]}).to_parquet(path)
    with pytest.raises(DataError, match="molblock"):
        list(read_parquet(path, 100))
    with pytest.raises(DataError, match="No such file"):
        list(read_records(tmp_path / "b.parquet"))


def test_export_and_evaluate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.parquet"
    words = ["export", str(CASES / "drugs20.sdf"), "--to", "parquet", "--out", str(out)]
    assert run(words) == 0
    assert run(words) == 1  # what is there is kept
    assert len(pd.read_parquet(out)) == 19  # the salt is not
    status = pd.read_csv(tmp_path / "a.parquet.status.csv")
    assert list(status["status"]).count("ok") == 19
    assert run(["evaluate", str(out), "--json", str(tmp_path / "a.json")]) == 0
    assert '"n": 19' in (tmp_path / "a.json").read_text()
    capfd.readouterr()
