"""Files: what is written is read back by RDKit and Open Babel, whole or not at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molgen.chem.io import (
    FORMATS,
    Record,
    RecordWriter,
    completed_records,
    open_writer,
    read_records,
)
from molgen.chem.mol import build_mol, molecule_of, smiles_of
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.errors import DataError, OutputError

from .builders import AROMATIC_ONES, CHARGED, STORE, molecules, same_graph
from .test_mol import BROKEN

SUFFIXES = (".sdf", ".sdf.gz", ".smi", ".xyz")
MIXED = [*range(8), *CHARGED, *AROMATIC_ONES[:8]]
TAGS = {"molgen_model": "qm9", "molgen_seed": 0, "molgen_valid": True, "molgen_reason": ""}


def write(path: Path, chosen: list[int], keep_bytes: int | None = None, start: int = 0) -> None:
    with open_writer(path, keep_bytes=keep_bytes) as writer:
        for number, index in enumerate(chosen, start=start):
            mol = build_mol(STORE[index]).mol
            writer.write(mol, f"molgen-{number:06d}", {**TAGS, "smiles": smiles_of(mol)})


def assert_same(record: Record, mol: Molecule) -> None:
    assert record.molecule is not None
    assert np.array_equal(record.molecule.atomic_numbers, mol.atomic_numbers)
    assert np.abs(record.molecule.pos - mol.pos).max(initial=0) <= 1e-4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_record_is_read_back_in_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, MIXED)
    records = list(read_records(path))
    assert [record.index for record in records] == list(range(len(MIXED)))
    assert [r.title.split()[0] for r in records] == [f"molgen-{i:06d}" for i in range(len(MIXED))]
    for record, index in zip(records, MIXED, strict=True):
        if suffix != ".smi":
            assert_same(record, STORE[index])
        else:
            assert smiles_of(record.mol) == smiles_of(build_mol(STORE[index]).mol)


def test_sdf_keeps_bonds_charges_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "out.sdf"
    write(path, MIXED)
    for record, index in zip(read_records(path), MIXED, strict=True):
        kekule = Chem.Mol(build_mol(STORE[index]).mol)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        assert record.molecule is not None
        assert same_graph(record.molecule, molecule_of(kekule))
        assert same_graph(molecule_of(build_mol(record.molecule).mol), STORE[index])
        assert list(record.tags) == [*TAGS, "smiles"]
        assert record.tags["molgen_valid"] == "true"
        assert record.tags["molgen_reason"] == ""


def test_rdkit_reads_the_same_molecules_with_stereo(tmp_path: Path) -> None:
    path = tmp_path / "out.sdf"
    write(path, MIXED)
    supplier = Chem.SDMolSupplier(str(path), removeHs=False)
    assert len(supplier) == len(MIXED)
    for mol in supplier:
        Chem.AssignStereochemistryFrom3D(mol)
        assert smiles_of(mol) == mol.GetProp("smiles")
        assert mol.GetProp("molgen_reason") == ""
        assert set(mol.GetPropNames()) == {*TAGS, "smiles"}


def test_open_babel_reads_the_same_molecules(tmp_path: Path) -> None:
    pybel = pytest.importorskip("openbabel.pybel")
    path = tmp_path / "out.sdf"
    write(path, MIXED)
    read = list(pybel.readfile("sdf", str(path)))
    assert len(read) == len(MIXED)
    for found, index in zip(read, MIXED, strict=True):
        kekule = Chem.Mol(build_mol(STORE[index]).mol)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        expected = molecule_of(kekule)
        assert [a.atomicnum for a in found.atoms] == expected.atomic_numbers.tolist()
        assert [a.formalcharge for a in found.atoms] == expected.formal_charge.tolist()
        assert np.abs(np.array([a.coords for a in found.atoms]) - expected.pos).max() <= 1e-4
        orders = np.zeros((len(found.atoms),) * 2, dtype=int)
        bonds = [found.OBMol.GetBond(k) for k in range(found.OBMol.NumBonds())]
        for bond in bonds:
            i, j = bond.GetBeginAtomIdx() - 1, bond.GetEndAtomIdx() - 1
            orders[i, j] = orders[j, i] = bond.GetBondOrder()
        assert np.array_equal(orders, bond_matrix(expected))
        assert dict(found.data)["molgen_model"] == "qm9"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("reason", BROKEN)
def test_broken_molecules_are_written_with_their_reason(
    tmp_path: Path, suffix: str, reason: str
) -> None:
    path = tmp_path / f"out{suffix}"
    with open_writer(path) as writer:
        for number in range(2):
            writer.write(
                build_mol(BROKEN[reason]).mol, f"broken-{number}", {"molgen_reason": reason}
            )
    assert completed_records(path).n_records == 2
    if suffix.startswith(".sdf"):
        for record in read_records(path):
            assert record.tags["molgen_reason"] == reason
            assert_same(record, molecule_of(build_mol(BROKEN[reason]).mol))
            assert record.molecule is not None
            assert same_graph(record.molecule, BROKEN[reason])
    else:
        text = path.read_text()
        assert text.count(reason) == 2


def test_a_radical_stays_a_radical(tmp_path: Path) -> None:
    path = tmp_path / "out.sdf"
    with open_writer(path) as writer:
        writer.write(build_mol(BROKEN["valence: C3 atom 0"]).mol, "methyl", {})
    (mol,) = Chem.SDMolSupplier(str(path), removeHs=False)
    assert mol.GetAtomWithIdx(0).GetTotalNumHs(includeNeighbors=True) == 3
    assert mol.GetAtomWithIdx(0).GetNumRadicalElectrons() == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=15)
@given(data=st.data())
def test_a_killed_run_is_completed(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    chosen = [i % len(STORE) for i in range(70)]  # more than one gzip member
    whole, killed = folder / f"whole{suffix}", folder / f"killed{suffix}"
    write(whole, chosen)
    content = whole.read_bytes()
    killed.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    done = completed_records(killed)
    write(killed, chosen[done.n_records :], keep_bytes=done.n_bytes, start=done.n_records)
    opened = gzip.decompress if suffix.endswith(".gz") else bytes
    assert opened(killed.read_bytes()) == opened(content)
    assert completed_records(whole) == (70, len(content))


def test_records_are_on_disk_before_the_writer_is_closed(tmp_path: Path) -> None:
    mol = build_mol(STORE[0]).mol
    for suffix in SUFFIXES:
        path = tmp_path / f"open{suffix}"
        writer = open_writer(path)
        for number in range(3):
            writer.write(mol, f"m-{number}", {})
        writer.flush()
        assert len(list(read_records(path))) == completed_records(path).n_records == 3
        writer.close()


def test_sdf_without_a_title_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "out.sdf") as writer, pytest.raises(ValueError, match="title"):
        writer.write(build_mol(STORE[0]).mol, " ", {})


def test_titles_and_tags_cannot_break_a_record(tmp_path: Path) -> None:
    path = tmp_path / "out.sdf"
    with open_writer(path) as writer:
        writer.write(build_mol(STORE[0]).mol, "a\nb", {"note": "x\n\n$$$$\ny"})
    (record,) = read_records(path)
    assert (record.title, record.tags["note"]) == ("a b", "x $$$$ y")


def test_a_full_disk_names_the_file_and_the_count() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    writer = RecordWriter(full, "out.sdf", FORMATS[".sdf"])
    with pytest.raises(OutputError, match=r"out\.sdf after 0 records \(No space left on device\)"):
        writer.write(build_mol(STORE[0]).mol, "title", {})
    writer.close()


def test_a_record_that_does_not_fit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.sdf"
    writer = open_writer(path)
    mol = build_mol(STORE[0]).mol
    writer.write(mol, "first", {})
    file = writer._file

    class Full:
        """Takes half of what it is given, then has no room."""

        def __init__(self) -> None:
            self.used = False

        def write(self, data: bytes) -> int | None:
            if self.used:
                raise OSError(28, "No space left on device")
            self.used = True
            return file.write(data[: len(data) // 2])

        def __getattr__(self, name: str) -> object:
            return getattr(file, name)

    monkeypatch.setattr(writer, "_file", Full())
    with pytest.raises(OutputError, match=r"after 1 records .*Free some space"):
        writer.write(mol, "second", {})
    writer.close()
    assert [record.title for record in read_records(path)] == ["first"]


def test_files_that_cannot_be_opened_for_writing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*No such file"):
        open_writer(tmp_path / "nowhere" / "out.sdf")
    with pytest.raises(DataError, match="unknown format"):
        open_writer(tmp_path / "out.pdb")


def test_standard_output_takes_sdf(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_writer("-") as writer:
        writer.write(build_mol(STORE[0]).mol, "title", {})
    assert capfdbinary.readouterr().out.endswith(b"$$$$\n")


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\xe0"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.sdf", PNG, "not a text file"),
        ("a.xyz", PNG, "not a text file"),
        ("a.sdf.gz", PNG, "not a gzip file"),
        ("a.sdf", b"some\nordinary\ntext\nof four lines\n", "not an SDF file"),
        ("a.sdf", b"short\n", "not an SDF file"),
        ("a.sdf", b"", "holds no molecules"),
        ("a.xyz", b"\n\n", "holds no molecules"),
        ("a.xyz", b"hello\n", "line 1: expected a number of atoms, found 'hello'"),
        ("a.pdb", b"some text\n", "not a PDB file"),
        ("a.doc", b"", "unknown format"),
    ],
)
def test_bad_input_is_explained(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_records(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        list(read_records(tmp_path / "none.sdf"))
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        completed_records(tmp_path / "none.sdf")


def test_an_unreadable_record_is_counted_and_passed(tmp_path: Path) -> None:
    path = tmp_path / "out.sdf"
    write(path, [0, 1])
    lines = path.read_text().splitlines(keepends=True)
    second = lines.index("$$$$\n") + 1
    lines[second + 3] = "garbage\n"
    path.write_text("".join(lines))
    first, last = read_records(path)
    assert (first.reason, last.reason[:17]) == ("", "unreadable record")
    assert last.molecule is None


def test_xyz_takes_atomic_numbers_and_any_case(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("3\nwater\n8 0 0 0\nh 0.9 0 0 extra\nH 0 0.9 0\n\n1\n\nCL 0 0 0\n")
    water, chlorine = read_records(path)
    assert water.molecule is not None
    assert water.molecule.formula == "H2O"
    assert chlorine.molecule is not None
    assert chlorine.molecule.formula == "Cl"
    assert (water.title, chlorine.title) == ("water", "")


def test_smiles_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("CCO ethanol\n\nc1ccccc1\tbenzene\nC(\tbroken\n")
    ethanol, benzene, broken = read_records(path)
    assert (ethanol.title, smiles_of(ethanol.mol)) == ("ethanol", "CCO")
    assert (benzene.title, smiles_of(benzene.mol)) == ("benzene", "c1ccccc1")
    assert (broken.mol, broken.reason) == (None, "unreadable SMILES")


@given(molecules)
@settings(max_examples=20)
def test_a_single_mol_block_is_an_sdf(mol: Molecule) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.mol"
        path.write_text(Chem.MolToMolBlock(build_mol(mol).mol))
        (record,) = read_records(path)
        assert_same(record, mol)
