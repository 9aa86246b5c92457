"""The stacked Muon against torch's own, and the weight average against torch's."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim import Muon
from torch.optim.swa_utils import AveragedModel

from molgen.train.average import WeightAverage
from molgen.train.muon import StackedMuon

SHAPES = [(24, 8), (8, 24), (24, 8), (16, 16), (24, 8), (1, 8)]
OPTIONS = {"lr": 0.02, "weight_decay": 0.1}


def matrices(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def fill_gradients(parameters: list[nn.Parameter], seed: int) -> None:
    for parameter, value in zip(parameters, matrices(seed), strict=True):
        parameter.grad = value.detach().clone()


@pytest.mark.parametrize("nesterov", [True, False])
def test_stacking_changes_nothing_but_rounding(nesterov: bool) -> None:
    one, many = matrices(0), matrices(0)
    plain = Muon(one, nesterov=nesterov, **OPTIONS)
    stacked = StackedMuon(many, nesterov=nesterov, **OPTIONS)
    for step in range(1, 4):
        fill_gradients(one, step)
        fill_gradients(many, step)
        plain.step()
        stacked.step()
    for here, there, start in zip(one, many, matrices(0), strict=True):
        # Two roundings of bf16, 2^-8 each, on moves of about the learning rate per entry.
        torch.testing.assert_close(here, there, rtol=0, atol=0.02 * 3 * 2**-6)
        assert float((here - start).detach().abs().max()) > 0.01


def test_matrices_without_a_gradient_rest_and_the_state_is_muons() -> None:
    one, many = matrices(0), matrices(0)
    plain, stacked = Muon(one, **OPTIONS), StackedMuon(many, **OPTIONS)
    fill_gradients(one, 1)
    fill_gradients(many, 1)
    many[2].grad = None
    plain.step()
    stacked.step()
    assert torch.equal(many[2], matrices(0)[2])
    assert not torch.equal(many[0], matrices(0)[0])
    plain.load_state_dict(stacked.state_dict())
    stacked.load_state_dict(plain.state_dict())


def test_a_closure_is_evaluated_with_gradients() -> None:
    weight = nn.Parameter(torch.ones(2, 2))

    def closure() -> torch.Tensor:
        loss = weight.square().sum()
        loss.backward()
        return loss.detach()

    assert float(StackedMuon([weight], **OPTIONS).step(closure)) == 4.0


def test_the_average_is_torchs_without_its_questions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    def blend(averaged: list[torch.Tensor], current: list[torch.Tensor], _: object = None) -> None:
        for old, new in zip(averaged, current, strict=True):
            old.lerp_(new, 0.25)

    theirs, ours = AveragedModel(model, multi_avg_fn=blend), WeightAverage(model, blend)
    for step in range(4):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        model(torch.randn(5, 3))
        theirs.update_parameters(model)
        ours.update_parameters(model)
        if step == 1:  # as after a resumption
            kept, ours = deepcopy(ours.state_dict()), WeightAverage(model, blend)
            ours.load_state_dict(kept)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
