"""Conformers around a core whose coordinates are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from scipy.spatial.transform import Rotation

from molgen.chem.conformers.core import LEAST, STRAINED, Core, find_core, read_core
from molgen.chem.conformers.query import Query, query
from molgen.config.conformers import ConformerModelConfig
from molgen.config.recipe import DimsConfig
from molgen.errors import DataError, UsageError
from molgen.sampling.conformers.core import with_core
from molgen.sampling.conformers.stream import ConformerRequest, sample_conformers
from molgen.tasks.conformers import ConformerModel, build_conformer_model

TINY = DimsConfig(
    scalar=16, vector=4, pair=8, pair_hidden=8, n_heads=2, n_frames=2, mlp=16, noise=16
)
SMILES = "O=C(NCC1CC1)c1ccccc1F"


@pytest.fixture(scope="module")
def model() -> ConformerModel:
    torch.manual_seed(0)
    return build_conformer_model(ConformerModelConfig(n_layers=1, n_radial=8, dims=TINY)).eval()


@pytest.fixture(scope="module")
def ligand() -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(SMILES))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    rdForceFieldHelpers.MMFFOptimizeMolecule(mol)
    return mol


def positions(mol: Chem.Mol) -> np.ndarray:
    return np.stack([one.GetPositions() for one in mol.GetConformers()])


@pytest.mark.parametrize("minimise", ["none", "mmff94s"])
def test_the_core_of_the_input_stays_where_it_is(
    model: ConformerModel, ligand: Chem.Mol, minimise: str
) -> None:
    request = ConformerRequest(3, 2, core="c1ccccc1F", minimise=minimise, redraws=0)
    (result,) = sample_conformers(model, [ligand], request)
    assert result.mol is not None
    core = list(ligand.GetSubstructMatch(Chem.MolFromSmarts("c1ccccc1F")))
    found, wanted = positions(result.mol), ligand.GetConformer().GetPositions()
    np.testing.assert_allclose(found[:, core], np.stack([wanted[core]] * 3), atol=1e-9)
    rest = [one for one in range(ligand.GetNumHeavyAtoms()) if one not in core]
    assert np.abs(found[0, rest] - found[1, rest]).max() > 0.1
    said = {one.GetProp("core") for one in result.mol.GetConformers()}
    assert said <= {"kept", "strained"}
    assert ("strained" in said) == ("strained at the core" in result.reason)
    assert minimise == "none" or said == {"kept"}


def test_the_core_of_a_file_is_matched_in_every_molecule(
    model: ConformerModel, ligand: Chem.Mol, tmp_path: Path
) -> None:
    ring = Chem.MolFromSmiles("c1ccccc1")
    match = ligand.GetSubstructMatch(ring)
    ring.AddConformer(Chem.Conformer(6))
    ring.GetConformer().Set3D(True)
    ring.GetConformer().SetPositions(ligand.GetConformer().GetPositions()[list(match)])
    Chem.MolToMolFile(ring, str(tmp_path / "core.sdf"))
    request = ConformerRequest(2, 1, core=str(tmp_path / "core.sdf"), redraws=0)
    toluene, ethanol = sample_conformers(model, ["Cc1ccccc1", "CCO"], request)
    assert toluene.mol is not None
    wanted = Chem.MolFromMolFile(str(tmp_path / "core.sdf")).GetConformer().GetPositions()
    inside = list(toluene.mol.GetSubstructMatch(ring))
    for pos in positions(toluene.mol):
        np.testing.assert_allclose(pos[inside], wanted, atol=1e-9)
    assert ethanol.reason == "no match of the core"


def test_a_core_that_cannot_be_kept_is_refused(model: ConformerModel, tmp_path: Path) -> None:
    (flat,) = sample_conformers(model, ["CCCO"], ConformerRequest(1, 1, core="CCC"))
    assert flat.reason == "the input has no coordinates for the core"
    with pytest.raises(UsageError, match="fewer than 3"):
        read_core("CC")
    assert LEAST == 3
    with pytest.raises(UsageError, match="no SMARTS"):
        read_core("C(")
    with pytest.raises(DataError, match="no file"):
        read_core(str(tmp_path / "none.sdf"))
    Chem.MolToMolFile(Chem.MolFromSmiles("CCC"), str(tmp_path / "flat.sdf"))
    with pytest.raises(DataError, match="in 3D"):
        read_core(str(tmp_path / "flat.sdf"))
    for wrong in ({"minimise": "gfn2"}, {"fallback": "etkdg"}):
        with pytest.raises(UsageError, match="core"):
            ConformerRequest(core="CCC", **wrong)  # type: ignore[arg-type]


def test_a_bond_off_by_a_seventh_is_strained(ligand: Chem.Mol) -> None:
    asked = query(ligand, core=read_core("c1ccccc1F"))
    assert isinstance(asked, Query)
    core = asked.core
    assert isinstance(core, Core)
    assert len(core.bonds) == 1
    pos = ligand.GetConformer().GetPositions()[None, asked.graph.index]
    assert not core.is_strained(pos)[0]
    assert STRAINED == 0.15
    a, b = core.bonds[0]
    for factor, strained in ((1.13, False), (1.17, True), (0.83, True)):
        moved = pos.copy()
        along = (pos[0, b] - pos[0, a]) / np.linalg.norm(pos[0, b] - pos[0, a])
        moved[0, b] = pos[0, a] + factor * core.lengths[0] * along
        assert core.is_strained(moved)[0] == strained


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_estimate_gets_the_core_wherever_it_is_turned(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    estimate, core = (torch.randn(2, 6, 3, generator=generator, dtype=dtype) for _ in range(2))
    is_core = torch.zeros(2, 6, dtype=torch.bool)
    is_core[0, :4] = is_core[1, 2:5] = True
    core = core * is_core[..., None]
    core = (core - core.sum(1, keepdim=True) / is_core.sum(1)[:, None, None]) * is_core[..., None]
    found = with_core(estimate, core, is_core)
    for row in range(2):
        inside = is_core[row]
        pairs = [torch.cdist(one[row, inside], one[row, inside]) for one in (found, core)]
        torch.testing.assert_close(*pairs, atol=1e-4, rtol=0)
        torch.testing.assert_close(found[row, ~inside], estimate[row, ~inside])
    turn = torch.as_tensor(Rotation.random(rng=0).as_matrix(), dtype=dtype)
    turned = with_core(estimate @ turn + 1, core, is_core)
    torch.testing.assert_close(turned, found @ turn + 1, atol=1e-4, rtol=0)


def test_a_match_that_is_hydrogen_is_left_out(ligand: Chem.Mol) -> None:
    asked = query(ligand)
    assert isinstance(asked, Query)
    found = find_core(read_core("[H]c1ccccc1"), ligand, asked.graph.index)
    assert isinstance(found, Core)
    assert len(found.rows) == 6
