"""Networks that know what their molecules are like at rest."""

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
from torch import Tensor
from torch.nn import functional

from molgen.checkpoint import find_model, load_model
from molgen.chem.elements import QM9
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule
from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.models.build import start_from
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.models.graph_fit import GraphFit
from molgen.nn.block import pair_distances
from molgen.nn.classes import Classes
from molgen.nn.network import Estimate
from molgen.nn.rest import RestBeliefs, RestLayers
from molgen.train.rest_loss import rest_loss

from ..networks import (  # noqa: TID252
    DTYPES,
    HEADS,
    Case,
    agreeing_model,
    assert_close,
    random_case,
    resting_model,
    seeds,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@torch.no_grad()
def told(model: DeNovo, case: Case, end: float) -> Estimate:
    until = torch.full_like(case.lam, end)
    return model(case.state, case.lam, case.mask, case.hint, None, until)


def layers_of(model: DeNovo) -> RestLayers:
    layers = model.network.rest
    assert layers is not None
    return layers


@torch.no_grad()
def beliefs_of(dtype: torch.dtype, case: Case) -> RestBeliefs:
    said = told(agreeing_model(dtype), case, math.inf)
    beliefs: RestBeliefs = layers_of(resting_model(dtype))(said.classes, said.pos, case.mask)
    return beliefs


def chain(dtype: torch.dtype = torch.float64) -> tuple[Classes, Tensor, Tensor]:
    """A chain of six atoms, twice: its classes, its positions on a helix and its mask."""
    steps = torch.diag(torch.ones(5, dtype=torch.long), 1).expand(2, 6, 6)
    bond = 50.0 * functional.one_hot(steps + steps.mT, 5).to(dtype)
    classes = Classes(torch.zeros(2, 6, 5, dtype=dtype), torch.zeros(2, 6, 3, dtype=dtype), bond)
    generator = torch.Generator().manual_seed(8)
    along = torch.arange(6.0, dtype=dtype)
    helix = torch.stack([along.cos(), along.sin(), along / 2], dim=-1)
    pos = helix + 0.1 * torch.randn(2, 6, 3, generator=generator, dtype=dtype)
    return classes, pos, torch.ones(2, 6, dtype=torch.bool)


def test_before_training_nothing_turns() -> None:
    model, case = resting_model(untrained=True), random_case([4, 7], 0, torch.float32, hinted=True)
    said = told(agreeing_model(), case, math.inf)
    with torch.no_grad():
        wanted = layers_of(model)(said.classes, said.pos, case.mask).wanted
    assert float(wanted.turn.abs().max()) == 0
    assert float(wanted.rise.abs().max()) == 0


def test_a_last_call_ends_at_rest_and_no_other() -> None:
    case = random_case([7, 7], 2, torch.float32, hinted=False)
    lam, end = 0.5, 1.5
    grid = TimeGrid.from_sigma([math.exp(-lam), math.exp(-end)])
    outcomes = []
    for model in (agreeing_model(), resting_model()):
        denoise = SelfConditioned(model, case.mask, grid)
        for level in (lam, end):
            with torch.no_grad():
                denoise(case.state, torch.tensor(level, dtype=torch.float64))
            outcomes.append(denoise.estimate)
    early, last, early_rested, rested = outcomes
    for name in HEADS:
        assert torch.equal(getattr(early, name), getattr(early_rested, name)), name
        same = torch.equal(getattr(last, name), getattr(rested, name))
        assert same == (name != "pos"), name
    assert float((last.pos - rested.pos).abs().max()) > 0.01
    assert agreeing_model().at_rest(last, case.mask) is last


def test_rules_hold_along_two_bonds_and_nowhere_else() -> None:
    classes, pos, mask = chain()
    layers = layers_of(resting_model(torch.float64))
    with torch.no_grad():
        said = layers(classes, pos, mask)
    apart = (torch.arange(6)[:, None] - torch.arange(6)).abs()
    near = (apart > 0) & (apart < 3)
    assert torch.equal(said.near[0], said.triangle.packed(near[None])[0])
    assert float(said.wanted.stiffness[0][~near].max()) == 0
    assert float(said.wanted.stiffness[0][near].min()) > 0
    found = said.triangle.packed(pair_distances(pos[..., None]).squeeze(-1))
    length = said.triangle.packed(said.wanted.length)
    low, high = torch.minimum(found, said.rule), torch.maximum(found, said.rule)
    assert bool(((low <= length) & (length <= high))[said.near].all())


@each_precision
@settings(max_examples=10)
@given(seeds)
def test_a_mirror_changes_the_sign_of_turns_and_rises_and_nothing_else(
    dtype: torch.dtype, seed: int
) -> None:
    case = random_case([7, 5], seed, dtype, hinted=False)
    here = beliefs_of(dtype, case)
    there = beliefs_of(dtype, replace(case, state={**case.state, "pos": -case.state["pos"]}))
    one, other = there.wanted, here.wanted
    has, stands = other.axes.real.sum(dim=(-1, -2)) > 0, other.centres.real > 0
    assert_close(one.turn[has], -other.turn[has], "turn")
    assert_close(one.log_turn[has], other.log_turn[has], "spread")
    assert_close(one.rise[stands], -other.rise[stands], "rise")
    assert_close(one.length, other.length, "length")


@each_precision
@settings(max_examples=10)
@given(seeds)
def test_it_follows_a_permutation(dtype: torch.dtype, seed: int) -> None:
    classes, pos, mask = chain(dtype)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    model = resting_model(dtype)
    here, there = (
        model.at_rest(Estimate(x, c.element, c.charge, c.bond), mask).pos
        for x, c in (
            (pos, classes),
            (
                pos[:, order],
                Classes(
                    classes.element[:, order],
                    classes.charge[:, order],
                    classes.bond[:, order][:, :, order],
                ),
            ),
        )
    )
    # Four rounds magnify rounding.
    tolerance = {torch.float32: 2e-2, torch.float64: 1e-8}[dtype]
    torch.testing.assert_close(there, here[:, order], atol=tolerance, rtol=0)


def test_it_is_exact_under_autocast() -> None:
    case = random_case([7, 4], 5, torch.float32, hinted=True)
    estimate = told(agreeing_model(), case, math.inf)
    with torch.no_grad():
        plain = resting_model().at_rest(estimate, case.mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = resting_model().at_rest(estimate, case.mask)
    assert torch.equal(mixed.pos, plain.pos)


def rested(molecule: Molecule) -> Molecule:
    """What the shipped weights make of a molecule that a decoder found."""
    fit = GraphFit.of(load_model(find_model("qm9-few"), "cpu").model, QM9)
    assert fit is not None
    other = replace(molecule, formal_charge=molecule.formal_charge + 1)
    (found,) = fit([other], [molecule])
    return found


def test_shipped_weights_bring_torsions_nearer_to_rest() -> None:
    """Butane, turned out of its minimum, falls back into it."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=5)
    conformer = mol.GetConformer()
    rdMolTransforms.SetDihedralDeg(conformer, 0, 1, 2, 3, 155.0)
    conformer.SetPositions(rested(molecule_of(mol)).pos.astype(np.float64))
    assert abs(rdMolTransforms.GetDihedralDeg(conformer, 0, 1, 2, 3)) > 168


def test_shipped_weights_flatten_what_is_flat() -> None:
    """The carbon of formaldehyde, pulled out of its plane, falls back into it."""
    mol = Chem.AddHs(Chem.MolFromSmiles("C=O"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=5)
    molecule = molecule_of(mol)
    normal = np.cross(*(molecule.pos[1:3] - molecule.pos[0]))
    pos = molecule.pos.copy()
    pos[0] += (0.25 * normal / np.linalg.norm(normal)).astype(np.float32)

    def height(pos: np.ndarray) -> float:
        return abs(float(np.linalg.det(pos[1:4] - pos[0])))

    assert height(rested(replace(molecule, pos=pos)).pos) < 0.3 * height(pos)


def test_the_loss_is_least_where_everything_is_as_wanted() -> None:
    classes, here, mask = chain()
    with torch.no_grad():
        said = layers_of(resting_model(torch.float64))(classes, here, mask)
    assert (said.wanted.axes.real.sum(dim=(1, 2, 3)) == 3).all()
    still = torch.zeros_like(said.wanted.turn)
    sure = torch.full_like(still, -2.0)

    def turning(turn: Tensor) -> RestBeliefs:
        return replace(said, wanted=replace(said.wanted, turn=turn, log_turn=sure))

    least = torch.full((2,), -2.0).double()
    torch.testing.assert_close(rest_loss(turning(still), here)["turn"], least)
    off = least + 0.3 * math.exp(2.0)
    torch.testing.assert_close(rest_loss(turning(still + 0.3), here)["turn"], off)
    around = rest_loss(turning(still + 2 * math.pi), here)["turn"]
    torch.testing.assert_close(around, least)
    found = said.triangle.packed(pair_distances(here[..., None]).squeeze(-1))
    spread = torch.full_like(said.rule, -1.0)
    right = replace(said, rule=found, log_rule=spread)
    torch.testing.assert_close(rest_loss(right, here)["rule"], least / 2)
    wrong = rest_loss(replace(right, rule=found + 0.5), here)["rule"]
    assert bool((wrong > least / 2 + 0.5).all())


def test_the_loss_of_rises_is_least_at_the_height_of_rest() -> None:
    star = torch.zeros(1, 4, 4, dtype=torch.long)
    star[0, 0, 1:] = star[0, 1:, 0] = 1
    bond = 50.0 * functional.one_hot(star, 5).double()
    classes = Classes(torch.zeros(1, 4, 5).double(), torch.zeros(1, 4, 3).double(), bond)
    here = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(3)).double()
    there = here.clone()
    there[0, 0] += 0.2
    mask = torch.ones(1, 4, dtype=torch.bool)
    layers = layers_of(resting_model(torch.float64))
    with torch.no_grad():
        said, at_end = layers(classes, here, mask), layers(classes, there, mask)
    rise = at_end.heights.height - said.heights.height
    right = replace(said, wanted=replace(said.wanted, rise=rise))
    off = replace(said, wanted=replace(said.wanted, rise=rise + 0.2))
    assert float(rest_loss(right, there)["rise"]) == pytest.approx(float(said.wanted.log_rise))
    assert bool((rest_loss(off, there)["rise"] > rest_loss(right, there)["rise"]).all())


def test_weights_without_it_may_be_started_from_and_not_the_other_way_round() -> None:
    start_from(deepcopy(resting_model()), agreeing_model())
    with pytest.raises(UsageError, match="another network"):
        start_from(deepcopy(agreeing_model()), resting_model())
