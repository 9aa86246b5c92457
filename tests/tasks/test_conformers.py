"""Conformers from end to end: training on a tiny store, sampling, hydrogens, stereo, scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.query import (
    STEREO_SETTLED,
    Query,
    Refused,
    mirrored_where_it_helps,
    query,
    stereo_is_right,
)
from molgen.config import validated
from molgen.config.conformers import ConformerConfig, ConformerModelConfig
from molgen.config.recipe import DimsConfig
from molgen.data.prepare_conformers import prepare_conformers
from molgen.errors import UsageError
from molgen.metrics.conformers import heavy_rmsd, scores_of, summary
from molgen.sampling.conformers.draw import _batches, _Draw
from molgen.sampling.conformers.stream import ConformerRequest, sample_conformers
from molgen.tasks.conformer_weights import load_conformer_model
from molgen.tasks.conformers import ConformerModel, Noised, build_conformer_model
from molgen.train.conformers import train
from molgen.train.fit import RunOptions

TINY = DimsConfig(
    scalar=16, vector=4, pair=8, pair_hidden=8, n_heads=2, n_frames=2, mlp=16, noise=16
)


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    torch.manual_seed(0)
    return build_conformer_model(ConformerModelConfig(n_layers=2, n_radial=8, dims=TINY)).eval()


def embedded(smiles: str, n: int = 3) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=7)) == n
    return mol


def positions(mol: Chem.Mol) -> np.ndarray:
    return np.stack([one.GetPositions() for one in mol.GetConformers()])


def recipe(store: Path, **changes: object) -> ConformerConfig:
    tree = {
        "domain": "conformers",
        "data": {"sources": [{"store": str(store)}]},
        "model": {"n_layers": 1, "n_radial": 8, "dims": TINY.model_dump()},
        "train": {"batch_size": 4, "max_steps": 6, "sample_every": 6, "log_every": 3, **changes},
    }
    return validated(ConformerConfig, tree, "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    mols = [embedded(smiles, 1) for smiles in ("CCCO", "C[C@H](F)Cl", "c1ccccc1O", "CC(=O)NC")]
    np.savez(
        folder / "in.npz",
        n_atoms=np.array([one.GetNumAtoms() for one in mols], np.uint8),
        smiles=np.array(["CCCO", "C[C@H](F)Cl", "c1ccccc1O", "CC(=O)NC"]),
        pos_milliA=np.concatenate([positions(one)[0] * 1000 for one in mols]).astype(np.int16),
    )
    prepare_conformers(folder / "in.npz", folder / "store")
    return folder / "store"


def test_a_run_writes_weights_and_goes_on(store: Path, tmp_path: Path) -> None:
    options = RunOptions(tmp_path / "run", device="cpu", progress=False)
    weights = train(recipe(store), "tiny", options)
    loaded = load_conformer_model(weights, "cpu")
    assert loaded.info.training["steps"] == 6
    again = RunOptions(tmp_path / "run", resume=True, device="cpu", progress=False)
    train(recipe(store, max_steps=9), "tiny", again)
    assert load_conformer_model(weights, "cpu").info.training["steps"] == 9
    assert len((tmp_path / "run" / "losses.csv").read_text().splitlines()) == 4
    tuned = RunOptions(tmp_path / "tuned", device="cpu", progress=False)
    train(recipe(store, init=str(weights), max_steps=1), "tuned", tuned)


def test_the_same_molecule_and_seed_give_the_same_conformers(model: ConformerModel) -> None:
    request = ConformerRequest(n=3, steps=2, redraws=0)
    (alone,) = sample_conformers(model, ["CC(=O)NC"], request)
    *_, beside = sample_conformers(model, ["c1ccccc1CCCO", "CO", "CC(=O)NC"], request)
    assert alone.mol is not None
    assert beside.mol is not None
    np.testing.assert_allclose(positions(alone.mol), positions(beside.mol), atol=1e-3)
    (other,) = sample_conformers(model, ["CC(=O)NC"], ConformerRequest(3, 2, seed=1, redraws=0))
    assert other.mol is not None
    assert np.abs(positions(alone.mol) - positions(other.mol)).max() > 0.01


def test_every_molecule_has_a_result(model: ConformerModel) -> None:
    given = ["C", "nope", "[Na+].[Cl-]", "[Fe]", "", "[2H]C([2H])O"]
    results = sample_conformers(model, given, ConformerRequest(n=2, steps=1))
    assert [one.mol is not None for one in results] == [True, False, False, False, False, True]
    assert all(one.reason for one in results if one.mol is None)


def test_numbers_that_cannot_be_meant_are_refused() -> None:
    for wrong in ({"n": 0}, {"n": 10**7}, {"steps": 0}, {"steps": 10**7}, {"seed": -1}):
        with pytest.raises(UsageError):
            ConformerRequest(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "CC/C(F)=C(/C)Cl", "C[C@H]1C[C@@H](F)C1"])
def test_stereo_is_read_off_the_geometry(smiles: str) -> None:
    asked = query(smiles)
    assert isinstance(asked, Query)
    pos = positions(embedded(smiles))[:, asked.graph.index]
    assert stereo_is_right(asked.graph, pos).all()
    mirrored = stereo_is_right(asked.graph, -pos)
    assert mirrored.all() == ("/" in smiles)
    flat = pos * np.array([1, 1, 0])
    assert "/" in smiles or not stereo_is_right(asked.graph, flat).any()


def test_a_conformer_of_the_mirror_image_is_reflected_and_a_diastereomer_is_not() -> None:
    asked = query("C[C@H](F)[C@@H](Cl)Br")
    assert isinstance(asked, Query)
    n = len(asked.graph.index)
    mirror, other = (
        positions(embedded(one))[:, :n]
        for one in ("C[C@@H](F)[C@H](Cl)Br", "C[C@@H](F)[C@@H](Cl)Br")
    )
    np.testing.assert_allclose(mirrored_where_it_helps(asked.graph, mirror), -mirror)
    np.testing.assert_allclose(mirrored_where_it_helps(asked.graph, other), other)


@pytest.mark.parametrize("smiles", ["CC(N)C(=O)O", "CC=CC(F)Cl", "C1CC2CC1C(O)C2"])
def test_stereo_that_is_left_open_is_settled_for_all_conformers(smiles: str) -> None:
    asked = query(smiles)
    assert isinstance(asked, Query)
    assert asked.mol.GetBoolProp(STEREO_SETTLED)
    settled = Chem.MolToSmiles(Chem.RemoveHs(asked.mol))
    again = query(settled)
    assert isinstance(again, Query)
    assert not again.mol.HasProp(STEREO_SETTLED)
    assert "@" in settled or "/" in settled


def test_a_centre_is_right_from_a_volume_of_a_tenth() -> None:
    asked = query("[C@](F)(Cl)(Br)I")
    assert isinstance(asked, Query)
    row = asked.graph.centres[0]
    for volume, is_right in ((0.09, False), (0.11, True)):
        pos = np.zeros((1, 5, 3))
        pos[0, row[1]], pos[0, row[2]] = (1, 0, 0), (0, 1, 0)
        pos[0, row[3]] = (np.sqrt(1 - volume**2), 0, volume * row[4])
        graph = replace(asked.graph, centres=row[None])
        assert stereo_is_right(graph, pos)[0] == is_right


def test_batches_are_bounded_by_their_pairs() -> None:
    asked = query("C" * 32)
    assert isinstance(asked, Query)
    sizes = [len(one) for one in _batches({0: asked}, [_Draw(0, k, 0) for k in range(100)])]
    assert sizes == [48, 48, 4]


def test_the_other_double_bond_isomer_is_told() -> None:
    asked = query("C/C=C/C")
    assert isinstance(asked, Query)
    assert not stereo_is_right(asked.graph, positions(embedded(r"C/C=C\C"))[:, :4]).any()


def test_what_cannot_be_made_says_why() -> None:
    for text in ("nope", "", "C.C", "[Fe]", "[H][H]", "C" * 300):
        asked = query(text)
        assert isinstance(asked, Refused)
        assert asked.reason


def test_path_ends_where_a_perfect_network_says(model: ConformerModel) -> None:
    class Perfect(ConformerModel):
        def forward(self, *_: object, **__: object) -> torch.Tensor:
            return target

    graph = torch.zeros(1)
    target = torch.randn(2, 5, 3)
    perfect = Perfect(model.network, 1.0, 1.0)
    for steps in (1, 3):
        made = perfect.sample(torch.randn(2, 5, 3), graph, steps)  # type: ignore[arg-type]
        torch.testing.assert_close(made, target)


def test_a_state_without_noise_is_its_own_estimate(model: ConformerModel) -> None:
    asked = query("CCO")
    assert isinstance(asked, Query)
    from molgen.data.conformer_batches import collate
    from molgen.data.conformer_store import StoredGraph

    graph = collate([StoredGraph(asked.graph.atoms, asked.graph.pairs, asked.graph.centres)])
    pos = torch.tensor([[[-1.0, 0, 0], [0, 0, 0], [1, 0, 0]]])
    torch.testing.assert_close(model(Noised(pos, torch.zeros(1)), graph), pos)


def test_scores_of_the_references_themselves_are_perfect() -> None:
    mol = embedded("CCCCO", 4)
    rmsd = heavy_rmsd(mol, mol)
    assert rmsd is not None
    found = summary([scores_of(rmsd), None], thresholds=(0.75,))
    assert found["amr_r"] == pytest.approx(0, abs=1e-3)
    assert found["cov_r@0.75"] == found["cov_p@0.75"] == 0.5
    assert found["failed"] == 1


def test_rmsd_sees_through_symmetry_and_not_through_mirrors() -> None:
    mol = embedded("CC(C)c1ccccc1", 1)
    swapped = Chem.RenumberAtoms(mol, [2, 1, 0, *range(3, mol.GetNumAtoms())])
    assert heavy_rmsd(mol, swapped)[0, 0] < 1e-3  # type: ignore[index]
    one, other = embedded("C[C@H](F)Cl", 1), embedded("C[C@@H](F)Cl", 1)
    assert heavy_rmsd(one, other)[0, 0] > 0.3  # type: ignore[index]


def test_pairs_that_take_too_long_are_given_up() -> None:
    mol = embedded("CCCCO", 2)
    assert heavy_rmsd(mol, mol, time_limit_s=0.0) is None
