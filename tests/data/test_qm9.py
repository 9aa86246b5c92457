from __future__ import annotations

import csv
import importlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.chem.elements import SYMBOLS
from molgen.chem.mol import build_mol
from molgen.config.dataset import load_dataset
from molgen.data.perceive import Settled, settle
from molgen.data.prepare import prepare
from molgen.data.records import Record
from molgen.data.sources import qm9
from molgen.data.sources.qm9 import find_source
from molgen.data.store import MoleculeStore
from molgen.errors import DataError

QM9 = load_dataset("qm9")

Records = dict[str, Record]
NpzOf = Callable[[Sequence[Record]], Path]
Form = Callable[[Path, list[Record]], Path]

CHOSEN = ["methane", "nitrile", "ethanol", "benzene", "zwitterion"]
HEAD = "".join(f"line {number} of the list's head\n" for number in range(9))


def qm9pack_folder(folder: Path, chosen: list[Record]) -> Path:
    """The three CSV files of qm9pack, numbers printed the way numpy prints them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((chosen[:2], chosen[2:], []), start=1):
        with (folder / f"qm9_part{number}.csv").open("w", newline="") as stream:
            table = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
            table.writerow(["XYZ_file", "Index", "SMILES", "Elements", "XYZ_Ang", "HOMO_au"])
            table.writerows(qm9pack_row(record) for record in part)
    return folder


def qm9pack_row(record: Record) -> list[object]:
    symbols = ",".join(f"'{SYMBOLS[z]}'" for z in record.atomic_numbers)
    rows = ",".join(
        "[" + ",".join(str(x).removesuffix("0") for x in row) + "]" for row in record.pos
    )
    index = record.source_index
    return [f"dsgdb9nsd_{index:06d}.xyz", index, record.smiles, f"[{symbols}]", f"[{rows}]", -0.2]


def qm9pack_wheel(folder: Path, chosen: list[Record]) -> Path:
    path = folder / "qm9pack-1.0.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for part in qm9pack_folder(folder / "unpacked", chosen).iterdir():
            archive.write(part, f"qm9pack/data/{part.name}")
    return path


def gdb9_folder(folder: Path, chosen: list[Record]) -> Path:
    """All molecules up to the highest number; those not chosen are uncharacterised methanes."""
    raw = folder / "root" / "raw"
    raw.mkdir(parents=True)
    by_number = {record.source_index: record for record in chosen}
    mols = {number: molecule_of(record) for number, record in by_number.items()}
    others = [number for number in range(1, max(mols)) if number not in mols]
    with Chem.SDWriter(str(raw / "gdb9.sdf")) as writer:
        for number in range(1, max(mols) + 1):
            mol = mols.get(number, mols[1])
            mol.SetProp("_Name", f"gdb_{number}")
            writer.write(mol)
    listed = "".join(f"  {number}   C  [CH4]  1\n" for number in others)
    (raw / "uncharacterized.txt").write_text(f"{HEAD}{listed}{len(others)} compounds\n")
    return folder / "root"


def molecule_of(record: Record) -> Chem.Mol:
    answer = settle(record)
    assert isinstance(answer, Settled)
    return build_mol(answer.molecule).mol


@pytest.mark.parametrize("form", [qm9pack_folder, qm9pack_wheel, gdb9_folder])
def test_every_form_gives_the_same_store(
    records: Records, npz_of: NpzOf, tmp_path: Path, form: Form
) -> None:
    chosen = [records[name] for name in CHOSEN]
    prepare(QM9, npz_of(chosen), tmp_path / "expected")
    prepare(QM9, form(tmp_path, chosen), tmp_path / "store")
    expected, store = (MoleculeStore.open(tmp_path / name) for name in ("expected", "store"))
    assert store.source_index.tolist() == [1, 5, 14, 214, 271]
    assert len(store) == len(expected)
    for index in range(len(store)):
        assert np.array_equal(store[index].pos, expected[index].pos)
        assert np.array_equal(store[index].bonds, expected[index].bonds)
        assert np.array_equal(store[index].formal_charge, expected[index].formal_charge)


def install_qm9pack(site: Path, chosen: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    qm9pack_folder(site / "qm9pack" / "data", chosen)
    (site / "qm9pack" / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()


def test_the_installed_package_is_found_and_not_imported(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_qm9pack(tmp_path, [records["methane"]], monkeypatch)
    source = find_source(None, tmp_path / "raw")
    assert (source.name, source.n_records) == ("qm9pack", 1)
    assert [record.smiles for record in source.read()] == ["C"]


def test_downloaded_files_are_used_again(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qm9.qm9pack, "installed_folder", lambda: None)
    root = gdb9_folder(tmp_path, [records["methane"], records["nitrile"]])
    source = find_source(None, root / "raw")
    assert source.n_records == 2
    assert [record.source_index for record in source.read()] == [1, 5]


def test_nothing_at_hand_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from molgen.data import pyg

    def no_network(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(qm9.qm9pack, "installed_folder", lambda: None)
    monkeypatch.setattr(pyg, "download_url", no_network)
    with pytest.raises(DataError, match="cannot be downloaded") as caught:
        prepare(QM9, None, tmp_path / "qm9")
    assert "pip install qm9pack==1.0.3" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert not list((tmp_path / "raw").iterdir())


def remove(path: Path) -> Path:
    path.unlink()
    return path.parent


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda at, _: at / "missing", r"missing does not exist. Run: pip install"),
        (lambda at, _: at, "holds no form of QM9"),
        (lambda at, chosen: remove(qm9pack_folder(at, chosen) / "qm9_part2.csv"), "is missing"),
        (
            lambda at, chosen: remove(gdb9_folder(at, chosen) / "raw" / "uncharacterized.txt"),
            "uncharacterized.txt is missing",
        ),
    ],
)
def test_a_source_that_is_none_is_named(
    records: Records, tmp_path: Path, make: Form, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        find_source(make(tmp_path, [records["methane"]]), tmp_path / "raw")


@pytest.mark.parametrize("name", ["fake.npz", "fake.whl"])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text")
    with pytest.raises(DataError, match=f"{name} is not"):
        find_source(tmp_path / name, tmp_path / "raw")


def test_a_wheel_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(DataError, match=r"lacks qm9pack/data/qm9_part1.csv"):
        find_source(tmp_path / "other.whl", tmp_path / "raw")


def test_a_damaged_row_is_counted(records: Records, tmp_path: Path) -> None:
    folder = qm9pack_folder(tmp_path, [records["methane"], records["nitrile"]])
    part = folder / "qm9_part1.csv"
    part.write_text(part.read_text()[:-80])
    with pytest.raises(DataError, match=r"line 3 of qm9_part1.csv in qm9pack is damaged"):
        prepare(QM9, folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_list_that_is_no_list(records: Records, tmp_path: Path) -> None:
    root = gdb9_folder(tmp_path, [records["methane"], records["nitrile"]])
    (root / "raw" / "uncharacterized.txt").write_text(HEAD + "no number\nfoot\n")
    with pytest.raises(DataError, match="is not QM9's list"):
        find_source(root, tmp_path / "raw")
