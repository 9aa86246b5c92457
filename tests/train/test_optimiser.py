from __future__ import annotations

import io
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from molgen.config import OptimConfig
from molgen.models.denovo import DeNovo
from molgen.train.optimiser import Together, build_optimiser

from ..networks import random_case, random_model  # noqa: TID252

RECIPE = OptimConfig(kind="muon", lr=1e-3, muon_lr=0.02, weight_decay=0.03)


def learn(model: DeNovo, optimiser: Together, steps: range) -> None:
    """A few steps on a made-up loss; what happens in a step follows from its number."""
    for step in steps:
        case = random_case([5, 7], step, torch.float32, hinted=True)
        estimate = model(case.state, case.lam, case.mask, case.self_cond)
        parts = (estimate.pos, estimate.element, estimate.charge, estimate.bond)
        optimiser.zero_grad()
        torch.stack([part.square().mean() for part in parts]).sum().backward()
        optimiser.step()


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(here, there) for here, there in pairs)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_parameter_has_exactly_one_owner(kind: str) -> None:
    model = random_model()
    optimiser = build_optimiser(model, RECIPE.model_copy(update={"kind": kind}))
    owned = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in model.parameters()}
    assert [type(part) for part in optimiser.parts] == [AdamW, Muon][: 1 + (kind == "muon")]


def test_muon_owns_the_matrices_of_the_blocks() -> None:
    model = random_model()
    adamw, muon = build_optimiser(model, RECIPE).parts
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert "network.blocks.0.qkv.weight" in hidden
    assert "network.blocks.1.pair_update.out.weight" in hidden
    assert not [name for name in hidden if "modulation" in name or "bias" in name]
    assert all(name.startswith("network.blocks.") for name in hidden)
    decayed, plain = adamw.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.03, 0.0)
    assert {p.ndim for p in plain["params"]} == {1}
    assert {p.ndim for p in decayed["params"]} == {2}
    assert muon.param_groups[0]["weight_decay"] == 0.03


def test_rates_reach_every_part() -> None:
    optimiser = build_optimiser(random_model(), RECIPE)
    optimiser.scale_rates(0.25)
    assert [group["lr"] for part in optimiser.parts for group in part.param_groups] == [
        pytest.approx(rate) for rate in (2.5e-4, 2.5e-4, 0.005)
    ]
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    assert {group["lr"] for part in optimiser.parts for group in part.param_groups} == {0.0}


@pytest.mark.parametrize("still", ["adamw", "muon"])
def test_a_rate_of_zero_stops_its_part_alone(still: str) -> None:
    model = deepcopy(random_model())
    optimiser = build_optimiser(model, RECIPE)
    stopped = optimiser.parts[0 if still == "adamw" else 1]
    for group in stopped.param_groups:
        group["lr"] = 0.0
    resting = {id(p) for group in stopped.param_groups for p in group["params"]}
    learn(model, optimiser, range(1))
    for parameter, before in zip(model.parameters(), random_model().parameters(), strict=True):
        assert torch.equal(parameter, before) == (id(parameter) in resting)


def test_state_round_trip_continues_bit_for_bit() -> None:
    model = deepcopy(random_model())
    optimiser = build_optimiser(model, RECIPE)
    optimiser.scale_rates(0.5)
    learn(model, optimiser, range(3))
    kept = io.BytesIO()
    torch.save([model.state_dict(), optimiser.state_dict()], kept)
    learn(model, optimiser, range(3, 6))

    kept.seek(0)
    weights, state = torch.load(kept)
    again = deepcopy(random_model())
    again.load_state_dict(weights)
    resumed = build_optimiser(again, RECIPE)
    resumed.load_state_dict(state)
    assert resumed.param_groups == [g for part in resumed.parts for g in part.param_groups]
    learn(again, resumed, range(3, 6))
    assert same_weights(model, again)
    assert not same_weights(model, random_model())


def test_a_resumed_run_may_change_its_rates() -> None:
    optimiser = build_optimiser(random_model(), RECIPE)
    optimiser.scale_rates(0.1)
    slower = RECIPE.model_copy(update={"lr": 1e-5, "muon_lr": 1e-4})
    resumed = build_optimiser(random_model(), slower)
    resumed.load_state_dict(optimiser.state_dict())
    resumed.scale_rates(1.0)
    assert [group["lr"] for group in resumed.param_groups] == [1e-5, 1e-5, 1e-4]


def test_a_closure_is_evaluated_once_with_gradients() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimiser = Together(AdamW([weight], lr=0.1))
    calls = []

    def closure() -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert float(optimiser.step(closure)) == 3.0
    assert calls == [True]
    assert bool((weight < 1).all())
    optimiser.zero_grad()
    assert weight.grad is None
