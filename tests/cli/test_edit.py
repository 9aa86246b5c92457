"""``molgen vary`` with a tiny untrained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from molgen.chem.io import read_records
from molgen.chem.relaxation import LABEL

METHANE = """5
methane
C 0.00 0.00 0.00
H 0.63 0.63 0.63
H -0.63 -0.63 0.63
H -0.63 0.63 -0.63
H 0.63 -0.63 -0.63
"""
FLUORINATED = METHANE.replace("H 0.63 0.63 0.63", "F 0.80 0.80 0.80").replace("methane", "fluoride")
WATER = "3\nwater\nO 0 0 0.12\nH 0 0.76 -0.48\nH 0 -0.76 -0.48\n"
FLAT = """drawing
     RDKit          2D

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
M  END
$$$$
"""
SOLID = FLAT.replace("2D", "3D")


@pytest.fixture
def vary(molgen: Callable, tiny_weights: Path) -> Callable:
    """``molgen vary`` of methane and water in two steps."""
    Path("in.xyz").write_text(METHANE + WATER)
    fixed = ("vary", "in.xyz", "--model", tiny_weights, "--steps", 2)
    return lambda *arguments: molgen(*fixed, *arguments)


def test_n_variations_of_every_record_in_order(vary: Callable) -> None:
    answer = vary("--n", 3, "--out", "v.sdf", "--strength", 0.3)
    assert answer.status == 0, answer
    assert answer.out == ""
    assert "v.sdf: 6 records" in answer.err
    records = list(read_records("v.sdf"))
    assert [record.title for record in records] == [f"tiny-vary-s0-k2-{i}" for i in range(6)]
    assert [record.tags["molgen_source"] for record in records] == ["methane"] * 3 + ["water"] * 3
    assert {record.tags["molgen_strength"] for record in records} == {"0.3"}
    assert not Path("v.partial.sdf").exists()


def test_the_same_command_gives_the_same_bytes(vary: Callable) -> None:
    vary("--n", 2, "--out", "a.sdf", "--quiet")
    answer = vary("--n", 2, "--out", "b.sdf", "--quiet")
    assert (answer.out, answer.err) == ("", "")
    assert Path("a.sdf").read_bytes() == Path("b.sdf").read_bytes()
    vary("--n", 2, "--out", "c.sdf", "--seed", 1)
    assert Path("a.sdf").read_bytes() != Path("c.sdf").read_bytes()


def test_an_output_is_kept_resumed_or_replaced(vary: Callable) -> None:
    vary("--n", 3, "--out", "v.sdf")
    whole = Path("v.sdf").read_bytes()
    vary("--n", 3, "--out", "v.sdf").assert_one_line(1, "v.sdf exists", "--force")
    assert "complete" in vary("--n", 3, "--out", "v.sdf", "--resume").err
    Path("v.sdf").unlink()
    end = [i for i in range(len(whole)) if whole[i : i + 5] == b"$$$$\n"][1] + 5
    Path("v.partial.sdf").write_bytes(whole[: end + 40])
    assert "2 of them from before" in vary("--n", 3, "--out", "v.sdf", "--resume").err
    titles = [record.title for record in read_records("v.sdf")]
    assert titles == [f"tiny-vary-s0-k2-{i}" for i in range(6)]
    Path("in.xyz").write_text(WATER)
    assert vary("--n", 3, "--out", "v.sdf", "--force").status == 0
    assert len(list(read_records("v.sdf"))) == 3


def test_variations_are_relaxed_where_they_stand(vary: Callable) -> None:
    vary("--n", 4, "--out", "plain.sdf", "--strength", 0.3)
    answer = vary("--n", 4, "--out", "v.sdf", "--strength", 0.3, "--relax")
    assert answer.status == 0, answer
    notes = [one.tags["molgen_relaxed"] for one in read_records("v.sdf")]
    assert f"{notes.count(LABEL)} relaxed by MMFF94s" in answer.err
    assert LABEL in notes
    for plain, one in zip(read_records("plain.sdf"), read_records("v.sdf"), strict=True):
        assert plain.molecule is not None
        assert one.molecule is not None
        assert np.array_equal(one.molecule.bonds, plain.molecule.bonds)
        centres = [record.pos.mean(axis=0) for record in (plain.molecule, one.molecule)]
        assert np.abs(centres[0] - centres[1]).max() < 1e-3
    Path("v.sdf").rename("v.partial.sdf")
    answer = vary("--n", 4, "--out", "v.sdf", "--strength", 0.3, "--resume")
    answer.assert_one_line(2, "another run", "--force")


def test_another_run_is_not_continued(vary: Callable) -> None:
    vary("--n", 3, "--out", "v.sdf")
    Path("v.sdf").rename("v.partial.sdf")
    answer = vary("--n", 3, "--out", "v.sdf", "--resume", "--strength", 0.7)
    answer.assert_one_line(2, "another run", "--force")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (METHANE.replace("C 0", "S 0"), "x.xyz", ["x.xyz, record 1", "holds S", "H, C, N, O, F"]),
        (WATER + METHANE.replace("0.00 0.00 0.00", "nan 0 0"), "x.xyz", ["record 2", "not finite"]),
        (FLAT, "x.sdf", ["x.sdf, record 1", "no 3D coordinates", "SDF or XYZ"]),
        (SOLID, "x.sdf", ["x.sdf, record 1", "lacks 4 hydrogens", "AddHs"]),
        ("CO methanol\n", "x.smi", ["x.smi, record 1", "no 3D coordinates"]),
        (
            "13\nbig\n" + "".join(f"C {i} 0 0\n" for i in range(13)),
            "x.xyz",
            ["13 atoms", "1 to 12"],
        ),
    ],
)
def test_unfit_molecules(
    molgen: Callable, tiny_weights: Path, text: str, name: str, words: list[str]
) -> None:
    Path(name).write_text(text)
    molgen("vary", name, "--model", tiny_weights).assert_one_line(2, *words)
    assert [path.name for path in Path().iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strength", "0"], ["strength is 0", "above 0"]),
        (["--strength", "1.5"], ["strength is 1.5", "up to 1"]),
        (["--strength", "nan"], ["strength is nan"]),
        (["--n", "0"], ["n is 0"]),
        (["--steps", "0"], ["steps is 0"]),
        (["--decode", "mpa"], ['Did you mean "map"?']),
        (["--out", "v.mol2"], [".mol2", ".sdf.gz"]),
    ],
)
def test_a_wrong_request(molgen: Callable, arguments: list[str], words: list[str]) -> None:
    molgen("vary", "in.xyz", *arguments).assert_one_line(2, *words)


def test_a_missing_file(molgen: Callable, tiny_weights: Path) -> None:
    molgen("vary", "no.sdf", "--model", tiny_weights).assert_one_line(1, "no.sdf")
