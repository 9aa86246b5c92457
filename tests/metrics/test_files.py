from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.chem.elements import SYMBOLS
from molgen.chem.molecule import Molecule
from molgen.chem.read import read_records
from molgen.config.evaluation import EvaluationConfig
from molgen.errors import DataError
from molgen.metrics.evaluate import evaluate
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.files import compare_files, evaluate_records, records_of
from molgen.metrics.verdicts import as_csv

BONDS = {"relax": False, "checks": []}


def judged(path: Path) -> Evaluation:
    """Bonds and coordinates of a file, nothing else."""
    config = EvaluationConfig(relax=False, checks=())
    return evaluate_records(list(read_records(path)), None, config, n_workers=1)


def first_records(path: Path, n: int) -> str:
    return "".join(record + "$$$$\n" for record in path.read_text().split("$$$$\n")[:n])


def test_the_sample_scores_as_its_molecules(
    sample_sdf: Path, real: list[Molecule], tmp_path: Path
) -> None:
    path = tmp_path / "some.sdf"
    path.write_text(first_records(sample_sdf, 40))
    found = judged(path)
    assert found == evaluate(real[:40], relax=False, n_workers=1)


def test_xyz_has_geometry_scores_only(real: list[Molecule], tmp_path: Path) -> None:
    path = tmp_path / "some.xyz"
    frames = []
    for molecule in real[100:110]:
        rows = zip(molecule.atomic_numbers.tolist(), molecule.pos.tolist(), strict=True)
        atoms = "".join(f"{SYMBOLS[z]} {x:.6f} {y:.6f} {w:.6f}\n" for z, (x, y, w) in rows)
        frames.append(f"{molecule.n_atoms}\nno title\n{atoms}")
    path.write_text("".join(frames))
    found = molgen.evaluate(path)
    assert found.connected_valid is found.graphs_agree is None
    assert found.perceived_valid.n == 10
    assert (
        found.perceived_valid == evaluate(real[100:110], relax=False, n_workers=1).perceived_valid
    )
    assert found.rmsd_to_mmff.n == found.perceived_valid.count


def test_an_unreadable_record_counts(sample_sdf: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.sdf"
    good = first_records(sample_sdf, 2)
    path.write_text(good + "bad\n\n\n  9  9  0  0  0  0  0  0  0  0999 V2000\njunk\n$$$$\n")
    found = judged(path)
    assert found.n == found.connected_valid.n == 3
    assert found.connected_valid.count == 2


def test_a_file_without_coordinates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.smi"
    path.write_text("CCO ethanol\n")
    with pytest.raises(DataError, match="has no coordinates"):
        molgen.evaluate(path)


def test_unknown_reference_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="qm8"):
        molgen.evaluate(tmp_path / "missing.sdf", reference="qm8")


def test_a_file_compared_with_itself_is_at_zero(sample_sdf: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.sdf"
    path.write_text(first_records(sample_sdf, 10))
    found = compare_files(path, path, n_workers=1)
    assert found.n == 10
    assert found.rmsd.median == pytest.approx(0.0, abs=1e-6)


def test_xyz_files_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no bonds"):
        compare_files(tmp_path / "a.xyz", tmp_path / "b.sdf")


CASES = Path(__file__).parent.parent / "cases"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("drugs2_noH.sdf", "hydrogens missing"),
        ("drugs2_2d.sdf", "flat, no 3D coordinates"),
        ("drugs2_2d_allH.sdf", "flat, no 3D coordinates"),
    ],
)
def test_what_is_no_molecule_in_3d_has_one_reason(name: str, reason: str) -> None:
    found = judged(CASES / name)
    assert found.invalid_reasons == found.perception_reasons == {reason: 2}


def test_the_reason_of_the_reader_is_counted() -> None:
    found = judged(CASES / "cisplatin.sdf")
    assert found.not_judged == {"not judged: metal Pt, dative bonds to Pt": 1}
    assert found.connected_valid is not None
    assert (found.connected_valid.count, found.connected_valid.n) == (1, 1)


def test_different_compounds_are_no_pairs() -> None:
    found = compare_files(CASES / "ag_a.sdf", CASES / "ag_b.sdf", n_workers=1)
    assert [pair.rmsd for pair in found.pairs] == [None] * 5
    assert found.reasons == {"different compounds": 3, "different stereoisomers": 2}


def test_pairs_are_of_one_title(tmp_path: Path) -> None:
    records = (CASES / "ag_a.sdf").read_text().split("$$$$\n")[:-1]
    path = tmp_path / "shuffled.sdf"
    path.write_text("".join(f"{text}$$$$\n" for text in records[3:0:-1]))
    found = compare_files(CASES / "ag_a.sdf", path, n_workers=1)
    assert (found.n, found.n_each, found.rmsd.n) == (3, (5, 3), 3)
    assert found.rmsd.mean == pytest.approx(0.0, abs=1e-6)


def test_one_verdict_per_record() -> None:
    found = judged(CASES / "cisplatin.sdf").records
    assert [one.valid for one in found] == [False, True]
    assert found[0].record == "not judged: metal Pt, dative bonds to Pt"
    assert (found[1].formula, found[1].title) == ("C9H8O4", "aspirin")
    rows = as_csv(found).splitlines()
    assert rows[0].startswith("file,index,title,formula,valid,record,")
    assert len(rows) == 3


def test_molecules_in_memory_are_records() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    AllChem.EmbedMultipleConfs(mol, 3, randomSeed=1)
    assert [one.index for one in records_of(mol)] == [0, 1, 2]
    found = molgen.evaluate(mol, reference=None)
    assert (found.n, found.connected_valid.count) == (3, 3)
    bare = molgen.evaluate([Chem.RemoveHs(mol, sanitize=True)], reference=None)
    assert bare.invalid_reasons == {"hydrogens missing": 3}


@pytest.mark.parametrize(
    ("name", "n_valid", "n_connected"), [("drugs20.sdf", 18, 19), ("glycine.sdf", 1, 1)]
)
def test_charged_records_are_judged_by_their_own_charge(
    name: str, n_valid: int, n_connected: int
) -> None:
    found = judged(CASES / name)
    assert found.connected_valid.count == n_connected
    assert found.perceived_valid.count >= n_valid
    assert not found.not_judged  # a counter-ion is no organometallic


def test_a_total_charge_can_be_given() -> None:
    found = molgen.evaluate(CASES / "glycine.sdf", reference=None, charge=1)
    assert found.connected_valid.count == found.perceived_valid.count == 0


def test_evaluation_runs_in_a_worker_of_a_pool() -> None:
    check = partial(molgen.evaluate, reference=None, checks=BONDS)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(check, [CASES / "glycine.sdf"])
    assert found[0].connected_valid.count == 1


def test_pickled_molecules_keep_their_labels() -> None:
    mol = Chem.MolFromSmiles("C")
    mol.SetProp("molgen_reason", "valence")
    assert isinstance(molgen.evaluate, Callable)  # loads molgen.api, which sets it
    assert pickle.loads(pickle.dumps(mol)).GetProp("molgen_reason") == "valence"  # noqa: S301
