"""Networks that know how far the bonds of their molecules should turn."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms
from torch.nn import functional

from molgen.checkpoint import find_model, load_model
from molgen.chem.elements import QM9
from molgen.chem.mol import molecule_of
from molgen.config import parse_config
from molgen.errors import ConfigError, UsageError
from molgen.models.build import start_from
from molgen.models.denovo import DeNovo
from molgen.models.graph_fit import GraphFit
from molgen.models.to_graph import TURNED
from molgen.nn.axes import wrapped
from molgen.nn.classes import Classes
from molgen.nn.network import Estimate
from molgen.nn.torsions import Turns
from molgen.train.turn_loss import turn_loss

from ..networks import (  # noqa: TID252
    DTYPES,
    Case,
    assert_close,
    knowing_model,
    random_case,
    seeds,
    turning_model,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@torch.no_grad()
def told(model: DeNovo, case: Case, *ends: float) -> Estimate:
    until = torch.tensor(ends).to(case.lam).expand(len(case.lam))
    return model(case.state, case.lam, case.mask, case.hint, None, until)


@torch.no_grad()
def turns_of(dtype: torch.dtype, case: Case) -> Turns:
    said = told(knowing_model(dtype), case, math.inf)
    layers = turning_model(dtype).network.torsions
    assert layers is not None
    turns: Turns = layers(said.classes, said.pos, case.mask)
    return turns


def test_before_training_bonds_stay() -> None:
    case = random_case([4, 7], 0, torch.float64, hinted=True)
    model = turning_model(torch.float64, untrained=True)
    said = told(model, case, math.inf)
    assert len(said.turns) == TURNED
    assert all(float(one.turn.abs().max()) == 0 for one in said.turns)
    for name in ("element", "charge", "bond"):
        plain = getattr(told(knowing_model(torch.float64), case, math.inf), name)
        assert torch.equal(getattr(said, name), plain), name


def test_only_a_last_call_turns_bonds() -> None:
    case = random_case([7, 7], 2, torch.float32, hinted=True)
    mixed = told(turning_model(), case, 0.5, math.inf)
    early, last = (told(turning_model(), case, end) for end in (0.5, math.inf))
    assert torch.equal(mixed.pos[0], early.pos[0])
    assert torch.equal(mixed.pos[1], last.pos[1])
    assert float((last.pos - told(knowing_model(), case, math.inf).pos).abs().max()) > 0.01
    state = (case.state, case.lam, case.mask, case.hint, None, torch.zeros(2))
    assert turning_model()(*state, False).turns == ()


@each_precision
@settings(max_examples=10)
@given(seeds)
def test_a_mirror_changes_the_sign_of_turns_and_nothing_else(dtype: torch.dtype, seed: int) -> None:
    case = random_case([7, 5], seed, dtype, hinted=False)
    here = turns_of(dtype, case)
    mirrored = replace(case, state={**case.state, "pos": -case.state["pos"]})
    there = turns_of(dtype, mirrored)
    has = here.axes.real.sum(dim=(-1, -2)) > 0
    assert_close(there.turn[has], -here.turn[has], "turn")
    assert_close(there.log_spread[has], here.log_spread[has], "spread")


def test_turns_are_exact_under_autocast() -> None:
    case = random_case([7, 4], 5, torch.float32, hinted=True)
    plain = turns_of(torch.float32, case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = told(knowing_model(), case, math.inf)
        said = turning_model().fitted_to_graph(estimate, case.mask)
    again = turning_model().fitted_to_graph(estimate, case.mask)
    assert torch.equal(said.pos, again.pos)
    assert plain.turn.dtype == torch.float32


def test_shipped_weights_bring_torsions_nearer_to_rest() -> None:
    """Butane, turned out of its minimum, falls back into it."""
    fit = GraphFit.of(load_model(find_model("qm9-few"), "cpu").model, QM9)
    assert fit is not None
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=5)
    conformer = mol.GetConformer()
    rdMolTransforms.SetDihedralDeg(conformer, 0, 1, 2, 3, 155.0)
    molecule = molecule_of(mol)
    other = replace(molecule, formal_charge=molecule.formal_charge + 1)
    (rested,) = fit([other], [molecule])
    conformer.SetPositions(rested.pos.astype(np.float64))
    assert abs(rdMolTransforms.GetDihedralDeg(conformer, 0, 1, 2, 3)) > 168


def test_the_loss_is_least_where_the_turns_lead() -> None:
    layers = turning_model(torch.float64).network.torsions
    assert layers is not None
    chain = torch.diag(torch.ones(5, dtype=torch.long), 1).expand(2, 6, 6)
    bond = functional.one_hot(chain + chain.mT, 5).double()
    classes = Classes(torch.zeros(2, 6, 5).double(), torch.zeros(2, 6, 3).double(), bond)
    generator = torch.Generator().manual_seed(8)
    along = torch.arange(6.0, dtype=torch.float64)
    helix = torch.stack([along.cos(), along.sin(), along / 2], dim=-1)
    here = helix + 0.1 * torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        turns = layers(classes, here, torch.ones(2, 6, dtype=torch.bool))
    assert (turns.axes.real.sum(dim=(1, 2, 3)) == 3).all()
    sure = replace(turns, log_spread=torch.full_like(turns.log_spread, -2.0))
    still = replace(sure, turn=torch.zeros_like(turns.turn))
    torch.testing.assert_close(turn_loss(still, here), torch.full((2,), -2.0).double())
    off = replace(sure, turn=torch.full_like(turns.turn, 0.3))
    torch.testing.assert_close(
        turn_loss(off, here), torch.full((2,), -2.0 + 0.3 * math.exp(2.0)).double()
    )
    around = replace(sure, turn=torch.full_like(turns.turn, 2 * math.pi))
    torch.testing.assert_close(turn_loss(around, here), turn_loss(still, here))
    assert float(wrapped(torch.tensor(7.0))) == pytest.approx(7.0 - 2 * math.pi, abs=1e-6)


def test_positions_teach_nothing_of_turns() -> None:
    case = random_case([7, 5], 9, torch.float32, hinted=True)
    model = deepcopy(turning_model()).requires_grad_()
    estimate = told(model, case, math.inf)
    model.fitted_to_graph(estimate, case.mask).pos.square().sum().backward()
    layers = model.network.torsions
    assert layers is not None
    assert all(parameter.grad is None for parameter in layers.parameters())
    assert model.network.graph_distances is not None
    assert model.network.graph_distances.out.weight.grad is not None


def test_lengths_and_angles_come_first() -> None:
    with pytest.raises(ConfigError, match="n_torsion_layers needs n_graph_layers"):
        parse_config({"model": {"n_torsion_layers": 2, "n_fits": 3, "end_aware": True}})
    start_from(deepcopy(turning_model()), knowing_model())
    with pytest.raises(UsageError, match="another network"):
        start_from(deepcopy(knowing_model()), turning_model())
