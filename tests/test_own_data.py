"""From an SDF file of one's own to new molecules: one specification, one recipe, no code."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.checkpoint import read_info
from molgen.cli import run

SPECIFICATION = """
title: "Made up: sulfur, chlorine, a nitro group, an ammonium, and a long chain"
atomic_numbers: [1, 6, 7, 8, 16, 17]
charges: [-1, 0, 1]
total_charge: null
max_atoms: 200
split: {kind: hashed, test: 0.1, val: 0.1}
"""

RECIPE = """
data: {dataset: made-up.yaml, store: store}
model:
  n_layers: 1
  n_radial: 8
  pos_scale: 2.0
  dims: {scalar: 16, vector: 4, pair: 8, pair_hidden: 8, n_heads: 2, n_frames: 2, mlp: 16,
          noise: 16}
optim: {kind: muon, warmup_steps: 2}
train: {batch_size: 8, batch_cost: 25000, max_steps: 4, log_every: 2, checkpoint_every: 4,
        sample_every: 4, sample_n: 2, sample_steps: 1, precision: 32-true}
"""

SMILES = (
    *("CCS", "CCCl", "C[N+](=O)[O-]", "C[NH3+]", "C" * 49 + "O", "CC(=O)[O-]", "c1ccsc1"),
    *("CS(C)(=O)=O", "ClC=C", "OCCO", "NCC", "CCO", "c1ccncc1", "CC#N", "OC=O", "CC(C)O"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a specification, a recipe and an SDF file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made-up.yaml").write_text(SPECIFICATION)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with Chem.SDWriter("mine.sdf") as writer:
        for smiles in SMILES:
            mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
            rdDistGeom.EmbedMolecule(mol, randomSeed=7, useRandomCoords=True)
            writer.write(mol)
    return tmp_path


@pytest.mark.slow
def test_heavy_atoms_train_a_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With hydrogens in the classes of heavy atoms: whole molecules come out all the same."""
    with (folder / "made-up.yaml").open("a") as file:
        file.write("hydrogens: [0, 3, 3, 2, 1, 0]\n")

    def molgen(*words: object, status: int = 0) -> str:
        assert run([str(word) for word in words]) == status
        told = capfd.readouterr()
        return told.err if status else told.out

    molgen("data", "prepare", "made-up.yaml", "--source", "mine.sdf", "--out", "store")
    molgen("train", "recipe.yaml", "--out", "run", "--device", "cpu")
    weights = "run/model.safetensors"
    info = read_info(folder / weights)
    assert info.max_atoms == 50
    assert "CH2" in info.vocabulary.symbols
    sampled = ("--n", 6, "--no-metrics", "--model", weights)
    for steps in (1, 4):
        molgen("sample", *sampled, "--n-atoms", "3-8", "--steps", steps, "--out", f"{steps}.sdf")
        mols = list(Chem.SDMolSupplier(f"{steps}.sdf", removeHs=False))
        assert len(mols) == 6
        for mol in mols:
            if mol is not None and mol.GetProp("molgen_valid") == "true":
                assert not sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    few = ("--n", 2, "--model", weights, "--strength", 0.3, "--steps", 4)
    molgen("vary", "mine.sdf", *few, "--out", "varied.sdf")
    assert (folder / "varied.sdf").read_text().count("$$$$") == 2 * len(SMILES)
    said = molgen("sample", *sampled, "--formula", "C2H6O", "--out", "x.sdf", status=2)
    assert "names heavy atoms together with their hydrogens" in said


@pytest.mark.slow
def test_own_molecules_train_a_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def molgen(*words: object) -> str:
        status = run([str(word) for word in words])
        told = capfd.readouterr()
        assert status == 0, told.err
        return told.out

    molgen("data", "prepare", "made-up.yaml", "--source", "mine.sdf", "--out", "store")
    molgen("train", "recipe.yaml", "--out", "run", "--device", "cpu")
    weights = "run/model.safetensors"
    info = read_info(folder / weights)
    assert info.dataset.name == "made-up"
    assert info.vocabulary.atomic_numbers == (1, 6, 7, 8, 16, 17)
    assert info.max_atoms == 150
    sampled = ("--steps", 2, "--n", 6, "--no-metrics")
    molgen("sample", "--model", weights, *sampled, "--n-atoms", "5-12", "--out", "new.sdf")
    assert (folder / "new.sdf").read_text().count("$$$$") == 6
    large = ("--steps", 1, "--n", 1, "--no-metrics", "--n-atoms", 150)
    molgen("sample", "--model", weights, *large, "--out", "large.sdf")
    assert (folder / "large.sdf").read_text().count("$$$$") == 1
    table = molgen("evaluate", "new.sdf", "--reference", "store")
    assert "connected validity" in table
