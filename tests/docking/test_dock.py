"""Real Vina and Meeko: a redock, poses with the ligand's own graph, and a row for what fails."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom, rdMolAlign

import molgen
from molgen.cli import run
from molgen.docking.box import Box, around, parse_triple
from molgen.docking.poses import as_pdb, bust_poses
from molgen.docking.receptor import receptor_pdbqt
from molgen.docking.vina import Docked, NotDocked, VinaDocker
from molgen.errors import DataError, UsageError

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "docking"
RECEPTOR = FIXTURES / "1of6_pocket.pdb"
TYROSINE = FIXTURES / "tyrosine.sdf"

pytestmark = pytest.mark.skipif(
    find_spec("vina") is None or find_spec("meeko") is None, reason="Vina or Meeko is missing"
)


@pytest.fixture(scope="module")
def receptor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket as PDBQT, prepared once."""
    path = tmp_path_factory.mktemp("receptor") / "pocket.pdbqt"
    path.write_text(receptor_pdbqt(RECEPTOR))
    return path


@pytest.fixture(scope="module")
def crystal() -> Chem.Mol:
    return next(iter(Chem.SDMolSupplier(str(TYROSINE), removeHs=False)))


@pytest.fixture(scope="module")
def docker(receptor: Path, crystal: Chem.Mol) -> VinaDocker:
    box = around(crystal.GetConformer().GetPositions())
    return VinaDocker(receptor.read_text(), box, exhaustiveness=2, poses=3, seed=1)


def embedded(smiles: str, seed: int = 3) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=seed) == 0
    return mol


@pytest.mark.slow
def test_a_redock_finds_the_crystal_pose(docker: VinaDocker, crystal: Chem.Mol) -> None:
    start = Chem.Mol(crystal)
    rdDistGeom.EmbedMolecule(start, randomSeed=3)
    docked = docker(start)
    assert isinstance(docked, Docked)
    assert docked.score[0] < -7
    assert (np.diff(docked.score) >= 0).all()
    best, reference = (Chem.RemoveAllHs(one) for one in (docked.mol, crystal))
    assert rdMolAlign.CalcRMS(best, reference, 0, 0) < 1.5  # .7 Å


@pytest.mark.slow
@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "C/C=C/CO", "Oc1ccc2[nH]ccc2c1"])
def test_poses_are_of_the_ligand(docker: VinaDocker, smiles: str) -> None:
    ligand = embedded(smiles)
    ligand.SetProp("batch", "7")
    docked = docker(ligand)
    assert isinstance(docked, Docked)
    symbols = [atom.GetSymbol() for atom in ligand.GetAtoms()]
    assert [atom.GetSymbol() for atom in docked.mol.GetAtoms()] == symbols
    assert docked.mol.GetProp("batch") == "7"
    for pose in docked.mol.GetConformers():
        one = Chem.Mol(docked.mol, confId=pose.GetId())
        Chem.AssignStereochemistryFrom3D(one)
        assert Chem.MolToSmiles(Chem.RemoveHs(one)) == Chem.CanonSmiles(smiles)
        for bond in ligand.GetBonds():
            ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            before, after = (
                np.linalg.norm(np.subtract(*(mol.GetPositions()[list(ends)])))
                for mol in (ligand.GetConformer(), pose)
            )
            assert abs(before - after) < 0.15


@pytest.mark.slow
def test_what_was_docked_before_does_not_matter(docker: VinaDocker) -> None:
    first, other = embedded("CCO"), embedded("Oc1ccccc1")
    alone = docker(first)
    docker(other)
    again = docker(first)
    assert isinstance(alone, Docked)
    assert isinstance(again, Docked)
    np.testing.assert_array_equal(alone.score, again.score)


def drawn(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDepictor.Compute2DCoords(mol)
    return mol


@pytest.mark.slow
def test_a_file_of_ligands_has_a_row_for_each(receptor: Path, tmp_path: Path) -> None:
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for name, mol in [
            ("good", embedded("CCO")),
            ("flat", drawn("CCO")),
            ("bare", Chem.RemoveHs(embedded("CCO"))),
            ("salt", embedded("CC(=O)[O-].[NH4+]")),
            ("good", embedded("CCN")),
        ]:
            mol.SetProp("_Name", name)
            writer.write(mol)
    (tmp_path / "in.sdf").write_text((tmp_path / "in.sdf").read_text() + "junk\n\n\nnope\n$$$$\n")
    out = tmp_path / "poses.sdf"
    words = ["dock", tmp_path / "in.sdf", "--receptor", receptor, "--autobox", TYROSINE]
    common = ["--exhaustiveness", 1, "--poses", 2, "--workers", 1, "--quiet", "--out", out]
    assert run([str(word) for word in (*words, *common)]) == 0
    with Path(f"{out}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "failed", "failed", "failed", "ok", "failed"]
    assert len({row["name"] for row in rows}) == 6
    reasons = [row["reason"] for row in rows]
    assert "3D" in reasons[1]
    assert "hydrogens are missing" in reasons[2]
    assert "fragment" in reasons[3]
    poses = list(Chem.SDMolSupplier(str(out), removeHs=False))
    assert all(pose is not None for pose in poses)
    assert len(poses) == sum(int(row["poses"]) for row in rows)
    assert len({pose.GetProp("_Name") for pose in poses}) == len(poses)
    with Path(f"{out}.ranked.csv").open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(scores) == 2
    assert scores == sorted(scores)


@pytest.mark.slow
def test_a_killed_run_is_completed(receptor: Path, tmp_path: Path) -> None:
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for k in range(12):
            mol = embedded("C" * (k % 4 + 2) + "O")
            mol.SetProp("_Name", f"mol{k}")
            writer.write(mol)
    words = [sys.executable, "-m", "molgen", "dock", str(tmp_path / "in.sdf"), "--quiet"]
    words += ["--receptor", str(receptor), "--autobox", str(TYROSINE), "--exhaustiveness", "1"]
    words += ["--workers", "1", "--poses", "2"]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([*words, "--out", str(tmp_path / "one.sdf")], env=environment, check=True)
    killed = tmp_path / "two.sdf"
    child = subprocess.Popen([*words, "--out", str(killed)], env=environment)
    partial = tmp_path / "two.partial.sdf"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 3000) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    subprocess.run([*words, "--out", str(killed), "--resume"], env=environment, check=True)
    Path(f"{killed}.ranked.csv").unlink()  # as if killed just before it was written
    subprocess.run([*words, "--out", str(killed), "--resume"], env=environment, check=True)
    for name in ("{}.sdf", "{}.sdf.csv", "{}.sdf.ranked.csv"):
        one, two = ((tmp_path / name.format(which)).read_bytes() for which in ("one", "two"))
        assert one == two


def test_atoms_that_vina_does_not_know_are_a_reason(docker: VinaDocker) -> None:
    found = docker(embedded("CB(O)O"))
    assert isinstance(found, NotDocked)
    assert found.reason


def refused(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    assert run([str(word) for word in words]) in {1, 2}
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error:")
    return line


def test_what_cannot_be_meant_is_one_line(
    receptor: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start = ("dock", TYROSINE, "--out", tmp_path / "out.sdf")
    box = ("--autobox", TYROSINE)
    assert "where is the box?" in refused(capfd, *start, "--receptor", receptor)
    assert "three numbers" in refused(
        capfd, *start, "--receptor", receptor, "--center", "1,2", "--size", "1,2,3"
    )
    assert "cannot read" in refused(capfd, *start, *box, "--receptor", tmp_path / "no.pdbqt")
    assert "is no receptor" in refused(capfd, *start, *box, "--receptor", TYROSINE)
    empty = tmp_path / "empty.pdbqt"
    empty.write_text("REMARK nothing\n")
    assert "holds no atoms" in refused(capfd, *start, *box, "--receptor", empty)
    same = ("dock", TYROSINE, "--receptor", receptor, *box, "--out", TYROSINE)
    assert "exists" in refused(capfd, *same) or "overwrite" in refused(capfd, *same)
    assert not (tmp_path / "out.sdf").exists()


def test_a_box_is_checked() -> None:
    assert around(np.array([[0.0, 0, 0], [2, 4, 6]]), 1) == Box((1, 2, 3), (4, 6, 8))
    assert parse_triple(" 1, 2 ,-3") == (1, 2, -3)
    for size in ((0, 1, 1), (101, 1, 1)):
        with pytest.raises(UsageError, match="the box is"):
            Box((0, 0, 0), size)
    with pytest.raises(UsageError, match="not finite"):
        Box((float("nan"), 0, 0), (1, 1, 1))


def test_what_meeko_cannot_prepare_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.pdb"
    path.write_text("".join(RECEPTOR.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(DataError, match="Meeko cannot prepare"):
        receptor_pdbqt(path)


@pytest.mark.slow
def test_docking_from_python(receptor: Path, crystal: Chem.Mol) -> None:
    ring = embedded("N[C@H]1CC[C@H](O)CC1")
    given = [crystal, drawn("CCO"), ring]
    options = {"exhaustiveness": 1, "poses": 3, "workers": 1}
    found = list(molgen.dock(given, receptor, autobox=crystal, **options))
    assert [mol.GetProp("molgen_status") for mol in found] == ["ok", "failed", "ok"]
    assert found[1].GetNumConformers() == 0
    assert "3D" in found[1].GetProp("molgen_reason")
    scores = [pose.GetDoubleProp("score") for pose in found[0].GetConformers()]
    assert scores == sorted(scores)
    assert found[0].GetDoubleProp("molgen_score") == scores[0]
    more = next(molgen.dock(ring, receptor, autobox=crystal, ring_conformers=3, **options))
    assert more.GetDoubleProp("molgen_score") <= found[2].GetDoubleProp("molgen_score")
    with pytest.raises(UsageError, match="where is the box"):
        molgen.dock(ring, receptor)
    with pytest.raises(UsageError, match="exhaustivenes"):
        molgen.dock(ring, receptor, autobox=crystal, exhaustivenes=1)


@pytest.mark.slow
def test_posebusters_checks_poses_in_their_receptor(receptor: Path, crystal: Chem.Mol) -> None:
    pytest.importorskip("posebusters")
    (failed,) = bust_poses(crystal, receptor.read_text())
    assert failed == ""
    inside = Chem.Mol(crystal)
    pos = crystal.GetConformer().GetPositions()
    inside.GetConformer().SetPositions(pos + np.array([0, 4.0, 0]))
    (failed,) = bust_poses(inside, receptor.read_text())
    assert "protein" in failed


def test_a_receptor_keeps_its_elements(receptor: Path) -> None:
    text = receptor.read_text()
    mol = Chem.MolFromPDBBlock(as_pdb(text), sanitize=False, removeHs=False, proximityBonding=False)
    kinds = [line[77:].strip() for line in text.splitlines() if line.startswith("ATOM")]
    assert mol.GetNumAtoms() == len(kinds)
    for atom, kind in zip(mol.GetAtoms(), kinds, strict=True):
        assert atom.GetSymbol()[0] == ("C" if kind == "A" else kind[0])


@pytest.mark.slow
def test_shards_of_ligands_are_one_run(receptor: Path, tmp_path: Path) -> None:
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for name, mol in [
            *((one, embedded(one)) for one in ("CCO", "CCN", "OCCO")),
            ("flat", drawn("CCO")),
            ("CCS", embedded("CCS")),
        ]:
            mol.SetProp("_Name", name)
            writer.write(mol)
    words = ["dock", tmp_path / "in.sdf", "--receptor", receptor, "--autobox", TYROSINE]
    words += ["--exhaustiveness", 1, "--poses", 2, "--quiet", "--out"]
    assert run([str(word) for word in [*words, tmp_path / "whole.sdf"]]) == 0
    parts = [*words, tmp_path / "parts", "--shards", 3]
    assert run([str(word) for word in [*parts, "--workers", 1]]) == 0
    merge = ["merge", tmp_path / "parts", "--to", tmp_path / "merged.sdf"]
    assert run([str(word) for word in merge]) == 0
    for end in (".csv", ".ranked.csv"):
        whole, merged = (
            (tmp_path / f"{name}.sdf{end}").read_text() for name in ("whole", "merged")
        )
        assert whole == merged
    whole, merged = ((tmp_path / f"{name}.sdf").read_text() for name in ("whole", "merged"))
    assert whole == merged
    assert run([str(word) for word in [*parts, "--seed", 1]]) != 0  # another run
