"""Loss weights, all in units of the clean data's squared error."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.parameterisation import EPS, V
from molgen.flow.schedule import unit_tv
from molgen.flow.weighting import CappedSNR, EDMWeight, MinSNR, Sigmoid, Unit, Weighting

WEIGHTINGS = [Unit(), MinSNR(), CappedSNR(), EDMWeight(0.5), Sigmoid(1.0)]
moderate = st.floats(-6, 6)


def double(level: float) -> Tensor:
    return torch.tensor(level, dtype=torch.float64)


def errors(level: float) -> tuple[Tensor, Tensor, Tensor]:
    """Squared errors of clean data, noise and velocity of one wrong guess."""
    lam = double(level)
    a, b = unit_tv(lam)
    truth, guess, eps = torch.randn(3, 8, dtype=torch.float64)
    x = a * truth + b * eps
    noise = (x - a * guess) / b
    velocity = V.target(truth, eps, a, b) - V.target(guess, noise, a, b)
    wrong_noise = EPS.target(truth, eps, a, b) - noise
    return (truth - guess).square().mean(), wrong_noise.square().mean(), velocity.square().mean()


@given(moderate)
def test_uncapped_weights_are_the_noise_and_the_velocity_loss(level: float) -> None:
    clean, noise, velocity = errors(level)
    lam = double(level)
    torch.testing.assert_close(CappedSNR(math.inf)(lam) * clean, noise, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(MinSNR(math.inf)(lam) * clean, velocity, rtol=1e-6, atol=1e-9)


@given(moderate, st.floats(0.1, 3))
def test_edm_weight_gives_the_preconditioned_network_unit_weight(level: float, s: float) -> None:
    sigma = math.exp(-level)
    c_out = sigma * s / math.hypot(sigma, s)
    assert float(EDMWeight(s)(double(level))) * c_out**2 == pytest.approx(1)


@given(moderate)
def test_edm_weight_of_unit_data_is_the_velocity_loss(level: float) -> None:
    lam = double(level)
    torch.testing.assert_close(EDMWeight()(lam), MinSNR(math.inf)(lam))


@given(st.floats(-20, 60))
def test_capped_weights_are_bounded(level: float) -> None:
    lam = torch.tensor(level)
    assert 1 <= float(MinSNR(5.0)(lam)) <= 5
    assert 0 <= float(CappedSNR(5.0)(lam)) <= 5
    assert 0 <= float(Sigmoid(1.0)(lam)) <= math.e * 1.0001
    assert float(Unit()(lam)) == 1


@given(moderate, st.floats(-3, 3))
def test_sigmoid_weight_is_a_noise_loss_that_fades(level: float, bias: float) -> None:
    faded = math.exp(2 * level) / (1 + math.exp(2 * level - bias))
    assert float(Sigmoid(bias)(double(level))) == pytest.approx(faded)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_keep_shape_and_type(weighting: Weighting) -> None:
    lam = torch.linspace(-4, 4, 12).reshape(3, 4)
    weight = weighting(lam)
    assert weight.shape == lam.shape
    assert weight.dtype == lam.dtype
    assert (weight > 0).all()
    assert (weight.flatten().diff() >= 0).all()


def test_data_without_spread_are_refused() -> None:
    with pytest.raises(UsageError):
        EDMWeight(0.0)
