"""Files as other programs write them: every record is read, or is a row with its reason."""

from __future__ import annotations

import gzip
import io
import os
import sys
import warnings
from pathlib import Path

import pytest

from molgen.chem.read import MAX_ATOMS, Record, read_records
from molgen.chem.surroundings import read_surroundings
from molgen.errors import DataError, UsageError

CASES = Path(__file__).parent.parent / "cases"


def read(path: Path) -> list[Record]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return list(read_records(path))


def formulas(path: Path) -> list[str]:
    return [one.molecule.formula if one.molecule else one.reason for one in read(path)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deuterium.xyz", ["C2H6O"]),
        ("fortran.xyz", ["H2O"]),
        ("labels.xyz", ["H2O"]),
        ("utf8_bom.xyz", ["C9H8O4"]),
        ("qm9_raw_like.xyz", ["CH4"]),
        ("x_forcesfirst.xyz", ["H2O"]),
        ("dummy.xyz", ["not judged: dummy atom"]),
        ("inf.xyz", ["coordinates are not finite"]),
        ("latin1_title.sdf", ["C9H8O4", "C8H10N4O2"]),
        ("no_last_dollars.sdf", ["C9H8O4", "C2H5NO2"]),
        ("no_version_stamp.sdf", ["C9H8O4"]),
        ("cisplatin.sdf", ["dative bonds to Pt", "C9H8O4"]),
        ("bad_record.sdf", ["C9H8O4", "unreadable record: Element 'Qq' not found", "C8H10N4O2"]),
        (
            "short_counts.sdf",
            ["C9H8O4", "unreadable record: EOF hit while reading atoms", "C8H10N4O2"],
        ),
        ("drugs2.mol2", ["C9H8O4", "C29H31N7O"]),
        ("aspirin.pdb", ["C9H8O4"]),
    ],
)
def test_files_of_other_programs(name: str, expected: list[str]) -> None:
    assert formulas(CASES / name) == expected


def test_details_of_other_programs() -> None:
    (deuterated,) = read(CASES / "deuterium.xyz")
    assert deuterated.isotopes == {0: 2, 2: 2, 3: 2}
    (forces_first,) = read(CASES / "x_forcesfirst.xyz")
    assert forces_first.molecule is not None
    assert forces_first.molecule.pos[1].tolist() == pytest.approx([0.96, 0, 0])
    (methane,) = read(CASES / "qm9_raw_like.xyz")
    assert methane.molecule is not None
    assert methane.molecule.pos[2, 2] == pytest.approx(2.7e-4)
    assert [one.title for one in read(CASES / "latin1_title.sdf")] == [
        "acide acétylsalicylique 5 µM",
        "caffeine",
    ]
    (aspirin,) = read(CASES / "aspirin.pdb")
    assert aspirin.molecule is not None
    assert sorted(aspirin.molecule.bonds[:, 2].tolist()).count(2) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\na\nC 0 0 0\nhello\nmore\n1\nb\nN 0 0 0\n", ["C", "expected a number", "N"]),
        ("2\na\nC 0 0 0\n1\nb\nN 0 0 0\n", ["truncated: 1 of 2 atoms", "N"]),
        ("2\na\nC 0 0 0\nC 0 x 0\n1\nb\nN 0 0 0\n", ["line 4: expected an element", "N"]),
        ("2\na\nC 0 0 0\n", ["truncated: 1 of 2 atoms"]),
        ("1\na\nQq 0 0 0\n1\nb\nX 0 0 0\n", ["line 3: expected", "not judged: dummy atom"]),
        ("1\na\nC 1_0 0 0\n", ["line 3: expected"]),
        ("1\na\nC 1e300 0 0\n", ["coordinates beyond 9999"]),
        ("1\nProperties=species:S:1:q:R:1\nC 0 0 0\n", ["Properties= names no"]),
        ("1\nProperties=species:S:x\nC 0 0 0\n", ["Properties= cannot be read"]),
        ("1\na\nC 0 0 0\n" + "9" * 5000 + "\nb\n1\nc\nN 0 0 0\n", ["C", "expected a number", "N"]),
        ("1\na\nC 0 0 0\n900000000\nb\nC 0 0 0\n", ["C", "truncated: 1 of 900000000 atoms"]),
    ],
)
def test_a_bad_frame_is_a_row(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(text)
    found = formulas(path)
    assert len(found) == len(expected)
    for one, start in zip(found, expected, strict=True):
        assert start in one


def test_a_count_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    for text in ((CASES / "superscript.xyz").read_text(), "9" * 5000 + "\nb\n"):
        path.write_text(text)
        with pytest.raises(DataError, match="line 1: expected a number of atoms") as caught:
            read(path)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", "20000\nbig\n" + "C 0 0 0\n" * 20000 + "1\nb\nN 0 0 0\n"),
        (
            "a.sdf",
            "big\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n"
            "M  V30 COUNTS 20000 0 0 0 0\n" + "M  V30 1 C 0 0 0 0\n" * 20000 + "M  END\n$$$$\n"
            "b\n\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n"
            "    0.0000    0.0000    0.0000 N   0  0\nM  END\n$$$$\n",
        ),
    ],
)
def test_a_record_that_is_too_large_is_a_row(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert formulas(path) == [f"too large: 20000 atoms, at most {MAX_ATOMS}", "N"]


def test_long_lines_and_smiles_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("1\na\n" + "C" * 3_000_000 + "\n1\nb\nN 0 0 0\n")
    assert [one[:6] for one in formulas(path)] == ["line 3", "N"]
    smiles = tmp_path / "a.smi"
    smiles.write_text("C" * 30_000 + " long\nCO methanol\n")
    assert [one.reason for one in read(smiles)] == ["too large: 30000 characters", ""]


def test_compressed_files_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fortran.xyz", "no_last_dollars.sdf", "drugs2.mol2", "aspirin.pdb", "salt.smi"):
        content = (CASES / name).read_bytes()
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(content))
        expected = formulas(CASES / name)
        assert formulas(packed) == expected
        for stream in (content, gzip.compress(content)):
            stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stream)))
            monkeypatch.setattr(sys, "stdin", stdin)
            assert formulas(Path("-")) == expected


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "a.sdf"
    os.mkfifo(fifo)
    device = tmp_path / "b.sdf"
    device.symlink_to("/dev/zero")
    for path in (fifo, device):
        with pytest.raises(DataError, match="not a regular file"):
            read(path)
    with pytest.raises(DataError, match="cannot read"):
        read(Path("a\0b.sdf"))


def test_a_file_that_is_cut_ends_in_a_row(tmp_path: Path) -> None:
    whole = (CASES / "no_last_dollars.sdf").read_text()
    cut = tmp_path / "cut.sdf"
    cut.write_text(whole[:-60])
    assert [one.reason for one in read(cut)] == ["", "truncated: no M  END line"]
    with pytest.raises(UsageError, match="record 2: truncated"):
        read_surroundings(cut)
    packed = tmp_path / "cut.sdf.gz"
    many = f"{whole}$$$$\n".encode() * 100
    packed.write_bytes(gzip.compress(many, 1)[:-200])
    *good, last = read(packed)
    assert len(good) > 150
    assert not any(one.reason for one in good)
    assert "is truncated" in last.reason


def test_a_molecule_in_one_plane_is_no_drawing_without_a_mark(tmp_path: Path) -> None:
    from molgen.chem.composition import is_flat_drawing

    rows = {"O": ["0.0 0.0", "0.96 0.0", "-0.24 0.93"], "C": ["0 0", "1 0", "-1 0", "0 1", "0 -1"]}
    for centre, places in rows.items():
        n = len(places)
        path = tmp_path / f"{centre}.sdf"
        atoms = "".join(
            f"{float(x):10.4f}{float(y):10.4f}    0.0000 {'H' if k else centre}   0  0\n"
            for k, (x, y) in enumerate(place.split() for place in places)
        )
        bonds = "".join(f"  1{k:3d}  1  0\n" for k in range(2, n + 1))
        head = f"t\n\n\n{n:3d}{n - 1:3d}  0  0  0  0  0  0  0  0999 V2000\n"
        path.write_text(f"{head}{atoms}{bonds}M  END\n$$$$\n")
        assert is_flat_drawing(read(path)[0]) == (centre == "C")


@pytest.mark.parametrize("column", range(9))
def test_a_letter_of_two_bytes_anywhere_in_a_bond_is_a_reason(tmp_path: Path, column: int) -> None:
    bond = "  1  2  1"
    file = tmp_path / "odd.sdf"
    file.write_text(
        "x\n  RDKit 3D\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
        "    0.0000    0.0000    0.0000 C   0  0\n    0.0000    0.0000    1.2000 C   0  0\n"
        f"{bond[:column]}é{bond[column + 1 :]}\nM  END\n$$$$\n",
        encoding="utf-8",
    )
    [record] = read_records(file)
    assert record.reason.startswith("unreadable record: Cannot convert")
