"""``molgen refine`` with a tiny untrained model: every geometry has a record, every input a row."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.config import validated
from molgen.config.conformers import ConformerConfig
from molgen.tasks.conformer_weights import ConformerInfo
from molgen.tasks.conformers import build_conformer_model
from molgen.weights_file import save_network

DIMS = {"scalar": 16, "vector": 4, "pair": 8, "pair_hidden": 8, "n_heads": 2, "n_frames": 2}
MODEL = {"n_layers": 1, "n_radial": 8, "dims": {**DIMS, "mlp": 16, "noise": 16}}


def saved(path: Path, *, refiner: bool) -> Path:
    tree = {
        "domain": "conformers",
        "data": {"sources": [{"store": "none"}]},
        "model": {**MODEL, "refiner": refiner},
    }
    config = validated(ConformerConfig, tree, "test")
    torch.manual_seed(0)
    save_network(path, build_conformer_model(config.model), ConformerInfo(path.stem, config))
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return saved(tmp_path / "tiny.safetensors", refiner=True)


def write_input(path: Path) -> None:
    with Chem.SDWriter(str(path)) as writer:
        for name, smiles in (("alanine", "C[C@H](N)C(=O)O"), ("flat", "CCO")):
            mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
            if name != "flat":
                rdDistGeom.EmbedMolecule(mol, randomSeed=1)
            mol.SetProp("_Name", name)
            mol.SetProp("assay", "7")
            writer.write(mol)


def test_geometries_are_moved_and_what_has_none_is_told(molgen: Callable, weights: Path) -> None:
    write_input(Path("in.sdf"))
    answer = molgen("refine", "in.sdf", "--out", "out.sdf", "--model", weights)
    assert answer.status == 0, answer
    (mol,) = Chem.SDMolSupplier("out.sdf", removeHs=False)
    assert mol.GetProp("assay") == "7"
    assert mol.GetDoubleProp("molgen_moved") >= 0
    Chem.AssignStereochemistryFrom3D(mol)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles("C[C@H](N)C(=O)O")
    with Path("out.sdf.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["reason"] == "no 3D coordinates to start from"


def test_the_same_file_gives_the_same_result(molgen: Callable, weights: Path) -> None:
    write_input(Path("in.sdf"))
    found = []
    for name in ("one.sdf", "two.sdf"):
        assert molgen("refine", "in.sdf", "--out", name, "--model", weights).status == 0
        mol = next(iter(Chem.SDMolSupplier(name)))
        found.append(mol.GetConformer().GetPositions())
    np.testing.assert_array_equal(*found)


def test_a_model_without_refiner_is_one_line(molgen: Callable, tmp_path: Path) -> None:
    write_input(Path("in.sdf"))
    plain = saved(tmp_path / "plain.safetensors", refiner=False)
    molgen("refine", "in.sdf", "--out", "out.sdf", "--model", plain).assert_one_line(
        2, "no refiner"
    )
