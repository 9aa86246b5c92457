"""Refinement inside the model, and with the shipped weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms

from molgen.checkpoint import find_model, load_model
from molgen.chem.elements import QM9
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule
from molgen.flow.grid import TimeGrid
from molgen.models.denovo import SelfConditioned
from molgen.models.graph_fit import GraphFit

from ..networks import HEADS, agreeing_model, random_case, refining_model  # noqa: TID252


def test_a_last_call_is_refined_and_no_other() -> None:
    case = random_case([7, 7], 2, torch.float32, hinted=False)
    lam, end = 0.5, 1.5
    grid = TimeGrid.from_sigma([math.exp(-lam), math.exp(-end)])
    outcomes = []
    for model, refines in (
        (agreeing_model(), True),
        (refining_model(), True),
        (refining_model(), False),
    ):
        denoise = SelfConditioned(model, case.mask, grid, refines=refines)
        for level in (lam, end):
            with torch.no_grad():
                denoise(case.state, torch.tensor(level, dtype=torch.float64))
            outcomes.append(denoise.estimate)
    early, last, early_refined, refined, _, asis = outcomes
    for name in HEADS:
        assert torch.equal(getattr(early, name), getattr(early_refined, name)), name
        assert torch.equal(getattr(last, name), getattr(asis, name)), name
        same = torch.equal(getattr(last, name), getattr(refined, name))
        assert same == (name != "pos"), name
    assert float((last.pos - refined.pos).abs().max()) > 0.01
    assert agreeing_model().refined(last, case.mask) is last


def test_it_is_exact_under_autocast() -> None:
    case = random_case([7, 4], 5, torch.float32, hinted=True)
    until = torch.full_like(case.lam, math.inf)
    with torch.no_grad():
        estimate = agreeing_model()(case.state, case.lam, case.mask, case.self_cond, None, until)
        plain = refining_model().refined(estimate, case.mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = refining_model().refined(estimate, case.mask)
    assert torch.equal(mixed.pos, plain.pos)


@pytest.fixture(scope="module")
def fit() -> GraphFit:
    found = GraphFit.of(load_model(find_model("qm9-few"), "cpu").model, QM9)
    assert found is not None
    return found


def refined(fit: GraphFit, molecule: Molecule) -> Molecule:
    """What the shipped weights make of a molecule that a decoder found."""
    other = replace(molecule, formal_charge=molecule.formal_charge + 1)
    (found,) = fit([other], [molecule])
    return found


def test_shipped_weights_bring_torsions_nearer_to_a_minimum(fit: GraphFit) -> None:
    """Butane, turned out of its minimum, falls back into it."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=5)
    conformer = mol.GetConformer()
    rdMolTransforms.SetDihedralDeg(conformer, 0, 1, 2, 3, 155.0)
    conformer.SetPositions(refined(fit, molecule_of(mol)).pos.astype(np.float64))
    assert abs(rdMolTransforms.GetDihedralDeg(conformer, 0, 1, 2, 3)) > 168


def test_shipped_weights_flatten_what_is_flat(fit: GraphFit) -> None:
    """The carbon of formaldehyde, pulled out of its plane, falls back into it."""
    mol = Chem.AddHs(Chem.MolFromSmiles("C=O"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=5)
    molecule = molecule_of(mol)
    normal = np.cross(*(molecule.pos[1:3] - molecule.pos[0]))
    pos = molecule.pos.copy()
    pos[0] += (0.25 * normal / np.linalg.norm(normal)).astype(np.float32)

    def height(pos: np.ndarray) -> float:
        return abs(float(np.linalg.det(pos[1:4] - pos[0])))

    assert height(refined(fit, replace(molecule, pos=pos)).pos) < 0.3 * height(pos)
