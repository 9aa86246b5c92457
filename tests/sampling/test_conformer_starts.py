"""Conformers from noise, from embeddings and from given geometries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolAlign

from molgen.chem.conformers.placing import embedded_pos, rmsd
from molgen.chem.conformers.query import Query, query
from molgen.config.conformers import ConformerModelConfig
from molgen.config.recipe import DimsConfig
from molgen.errors import UsageError
from molgen.sampling.conformers.stream import ConformerRequest, sample_conformers
from molgen.tasks.conformers import ConformerModel, build_conformer_model

TINY = DimsConfig(
    scalar=16, vector=4, pair=8, pair_hidden=8, n_heads=2, n_frames=2, mlp=16, noise=16
)
SMILES = "C[C@H](N)C(=O)OCC"


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    torch.manual_seed(0)
    config = ConformerModelConfig(n_layers=1, n_radial=8, dims=TINY, refiner=True)
    built = build_conformer_model(config).eval()
    for weight in built.refiner.parameters():  # type: ignore[union-attr]
        weight.data.zero_()  # moves nothing
    return built


def embedded(smiles: str, n: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=5)) == n
    return mol


def made(model: ConformerModel, given: Chem.Mol | str, **options: object) -> Chem.Mol:
    request = ConformerRequest(**{"n": 3, "steps": 2, **options})  # type: ignore[arg-type]
    (result,) = sample_conformers(model, [given], request)
    assert result.mol is not None, result.reason
    return result.mol


def heavy(mol: Chem.Mol) -> np.ndarray:
    keep = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return np.stack([one.GetPositions()[keep] for one in mol.GetConformers()])


def test_calls_from_embeddings_are_the_refiners(model: ConformerModel) -> None:
    asked = query(SMILES)
    assert isinstance(asked, Query)
    start = embedded_pos(asked, 3, 0)[:, asked.graph.index]
    found = heavy(made(model, SMILES, init="etkdg", sort="draw"))
    np.testing.assert_allclose(rmsd(found, start), 0, atol=0.03)
    noise = heavy(made(model, SMILES, init="noise", sort="draw"))
    assert rmsd(noise, found).min() > 0.1


def test_every_given_conformer_is_refined_in_its_order(model: ConformerModel) -> None:
    given = embedded(SMILES, 4)
    given.SetProp("kept", "yes")
    found = made(model, given, init="input", sort="draw")
    assert found.GetNumConformers() == 4
    moved = [one.GetDoubleProp("moved") for one in found.GetConformers()]
    np.testing.assert_allclose(moved, 0, atol=0.03)  # bonds come within their bounds
    for one in range(4):
        bare, other = Chem.RemoveHs(found), Chem.RemoveHs(given)
        assert rdMolAlign.AlignMol(bare, other, one, one) < 0.03


def test_wrong_stereo_gives_the_input_back(model: ConformerModel) -> None:
    given = embedded("C[C@H](F)Cl")
    torch.manual_seed(1)
    wild = ConformerModel(model.network, 2.0, 1.6, model.refiner)
    before = {name: one.clone() for name, one in wild.state_dict().items()}
    try:
        for weight in wild.refiner.parameters():  # type: ignore[union-attr]
            weight.data += 0.5 * torch.randn_like(weight)
        for _ in range(4):
            (result,) = sample_conformers(wild, [given], ConformerRequest(1, 4, init="input"))
            assert result.wrong is not None
            assert not result.wrong.any()
    finally:
        wild.load_state_dict(before)


def test_nothing_to_start_from_has_a_reason(model: ConformerModel) -> None:
    (result,) = sample_conformers(model, [SMILES], ConformerRequest(init="input"))
    assert result.mol is None
    assert "3D" in result.reason


def test_a_model_without_refiner_starts_at_noise_only() -> None:
    plain = build_conformer_model(ConformerModelConfig(n_layers=1, n_radial=8, dims=TINY)).eval()
    with pytest.raises(UsageError, match="no refiner"):
        sample_conformers(plain, ["CCO"], ConformerRequest(init="etkdg"))
    with pytest.raises(UsageError, match="init"):
        ConformerRequest(init="cold")


def test_rmsd_is_that_of_rdkit() -> None:
    mol = Chem.RemoveHs(embedded(SMILES, 2))
    one, other = (x.GetPositions()[None] for x in mol.GetConformers())
    assert rmsd(one, other)[0] == pytest.approx(rdMolAlign.AlignMol(Chem.Mol(mol), mol, 0, 1))
    assert rmsd(one, -one)[0] > 0.1


def test_what_would_drop_given_conformers_is_refused() -> None:
    for wrong in ({"pool": 2}, {"rms": 0.5}, {"energy_window": 1.0}):
        with pytest.raises(UsageError, match="all kept"):
            ConformerRequest(init="input", **wrong)  # type: ignore[arg-type]


def test_half_of_mixed_conformers_start_at_embeddings(model: ConformerModel) -> None:
    mixed, noise, embedded = (
        heavy(made(model, SMILES, n=5, sort="draw", init=one))
        for one in ("mixed", "noise", "etkdg")
    )
    np.testing.assert_allclose(rmsd(mixed[0::2], embedded[:3]), 0, atol=1e-3)
    np.testing.assert_allclose(rmsd(mixed[1::2], noise[1::2]), 0, atol=1e-3)
    fewer = heavy(made(model, SMILES, n=3, sort="draw", init="mixed"))
    np.testing.assert_allclose(rmsd(fewer, mixed[:3]), 0, atol=1e-3)


def test_few_calls_start_at_embeddings_and_more_at_both(model: ConformerModel) -> None:
    """Measured on 197 molecules: from 4 calls on, half of each finds more than either."""
    assert [ConformerRequest(steps=steps).start for steps in (1, 2, 3, 4, 8)] == [
        *("etkdg", "etkdg", "mixed", "mixed", "mixed"),
    ]
    assert ConformerRequest(steps=4, core="c1ccccc1").start == "noise"
    assert ConformerRequest(steps=8, init="etkdg").start == "etkdg"
    plain = heavy(made(model, SMILES, sort="draw"))
    embedded = heavy(made(model, SMILES, sort="draw", init="etkdg"))
    np.testing.assert_array_equal(plain, embedded)
    network, model.refiner = model.refiner, None
    try:
        from_noise = heavy(made(model, SMILES, sort="draw"))
    finally:
        model.refiner = network
    assert rmsd(from_noise, plain).min() > 0.1
