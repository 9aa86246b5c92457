"""Networks that know what distances their own graphs have."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from molgen.config import parse_config
from molgen.errors import ConfigError, UsageError
from molgen.models.build import start_from
from molgen.models.denovo import DeNovo
from molgen.nn.block import pair_distances
from molgen.nn.classes import Classes
from molgen.nn.graph_distances import GraphBeliefs, GraphDistances, GraphShape
from molgen.nn.network import Estimate

from ..networks import (  # noqa: TID252
    DTYPES,
    HEADS,
    Case,
    agreeing_model,
    assert_same,
    knowing_model,
    random_case,
    seeds,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@torch.no_grad()
def told(model: DeNovo, case: Case, *ends: float) -> Estimate:
    until = torch.tensor(ends).to(case.lam).expand(len(case.lam))
    return model(case.state, case.lam, case.mask, case.hint, None, until)


def beliefs_of(estimate: Estimate) -> GraphBeliefs:
    return estimate.of_graph[-1]


def test_before_training_positions_hardly_move() -> None:
    case = random_case([4, 7], 0, torch.float64, hinted=True)
    here = told(knowing_model(torch.float64, untrained=True), case, math.inf)
    there = told(agreeing_model(torch.float64), case, math.inf)
    assert float((here.pos - there.pos).abs().max()) < 0.05
    for name in ("element", "charge", "bond"):
        assert torch.equal(getattr(here, name), getattr(there, name)), name


def test_after_it_they_have_distances_nearer_to_what_the_graph_says() -> None:
    case = random_case([9, 6], 1, torch.float32, hinted=True)
    before, after = (told(model, case, math.inf) for model in (agreeing_model(), knowing_model()))
    believed = beliefs_of(after).distances
    pairs = (case.mask[:, :, None] & case.mask[:, None, :]) & ~torch.eye(9, dtype=torch.bool)
    weight = (-2 * believed.log_spread).exp() * pairs

    def stress(pos: Tensor) -> float:
        found = pair_distances(pos[..., None]).squeeze(-1)
        return float((weight * (found - believed.mean).square()).sum())

    assert stress(after.pos) < 0.8 * stress(before.pos)


def test_only_a_last_call_asks_its_graph() -> None:
    case = random_case([5, 5], 2, torch.float32, hinted=True)
    mixed = told(knowing_model(), case, 0.5, math.inf)
    early, last = (told(knowing_model(), case, end) for end in (0.5, math.inf))
    plain = told(agreeing_model(), case, 0.5)
    for name in HEADS:
        assert torch.equal(getattr(early, name), getattr(plain, name)), name
        assert torch.equal(getattr(mixed, name)[0], getattr(early, name)[0]), name
        assert torch.equal(getattr(mixed, name)[1], getattr(last, name)[1]), name
    state = (case.state, case.lam, case.mask, case.hint, None, torch.zeros(2))
    assert knowing_model()(*state, False).of_graph == ()


def test_rules_hold_along_two_bonds_and_nowhere_else() -> None:
    n, n_bonds = 6, 5
    chain = torch.zeros(1, n, n, dtype=torch.long)
    for atom in range(n - 1):
        chain[0, atom, atom + 1] = chain[0, atom + 1, atom] = 1
    certain = 50.0 * torch.nn.functional.one_hot(chain, n_bonds)
    classes = Classes(torch.zeros(1, n, 5), torch.zeros(1, n, 3), certain)
    layers = GraphDistances(GraphShape(2, 8, 7.0, 5, 3, n_bonds))
    pos = torch.randn(1, n, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = layers(classes, pos, torch.ones(1, n, dtype=torch.bool))
    apart = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    torch.testing.assert_close(said.near[0], ((apart > 0) & (apart < 3)).float())
    found = pair_distances(pos[..., None]).squeeze(-1)
    far = ((apart == 0) | (apart > 2))[None]
    torch.testing.assert_close(said.distances.mean[far], found[far])
    assert float((said.distances.mean - found)[~far].abs().min()) > 0
    # Two beliefs are surer than each of them.
    assert bool((said.distances.log_spread[~far] < said.log_rule[~far]).all())


@each_precision
@settings(max_examples=10)
@given(seeds)
def test_it_follows_a_permutation(dtype: torch.dtype, seed: int) -> None:
    model, case = knowing_model(dtype), random_case([7, 7], seed, dtype, hinted=False)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    state = {name: value[:, order] for name, value in case.state.items()}
    here, there = (told(model, each, math.inf) for each in (case, replace(case, state=state)))
    bond = here.bond[:, order][:, :, order].exp()
    there = replace(
        there, element=there.element.exp(), charge=there.charge.exp(), bond=there.bond.exp()
    )
    assert_same(
        there,
        Estimate(
            here.pos[:, order], here.element[:, order].exp(), here.charge[:, order].exp(), bond
        ),
    )


def test_beliefs_are_exact_under_autocast() -> None:
    model, case = knowing_model(), random_case([7, 4], 5, torch.float32, hinted=True)
    estimate = told(agreeing_model(), case, math.inf)
    plain = model.fitted_to_graph(estimate, case.mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.fitted_to_graph(estimate, case.mask)
    assert torch.equal(mixed.pos, plain.pos)
    distances = beliefs_of(mixed).distances
    for part in (distances.mean, distances.log_spread, beliefs_of(mixed).rule):
        assert torch.equal(part, part.mT)


def test_who_knows_no_graphs_cannot_be_asked() -> None:
    case = random_case([5], 6, torch.float32, hinted=True)
    with pytest.raises(RuntimeError, match="no layers"):
        agreeing_model().fitted_to_graph(told(agreeing_model(), case, math.inf), case.mask)
    with pytest.raises(ConfigError, match="n_graph_layers needs n_fits"):
        parse_config({"model": {"n_graph_layers": 2, "end_aware": True}})


def test_weights_without_it_may_be_started_from_and_not_the_other_way_round() -> None:
    start_from(deepcopy(knowing_model()), agreeing_model())
    with pytest.raises(UsageError, match="another network"):
        start_from(deepcopy(agreeing_model()), knowing_model())
