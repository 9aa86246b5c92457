"""Training densities over half-log-SNR, and loss weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from molgen.errors import UsageError
from molgen.flow import ISSNR, Logistic, LogUniform, MinSNR, Mixture, TimeSampler, Unit, V, unit_tv

samplers = st.sampled_from(
    [
        Logistic(),
        Logistic(0.5, 1.3, lam_min=-4.0, lam_max=5.0),
        LogUniform(0.02, 0.3),
        Mixture(((3.0, Logistic(0.5, 1.0)), (1.0, LogUniform(0.02, 0.3)))),
    ]
)


@given(samplers, st.integers(1, 200), st.integers(0, 9), st.booleans())
def test_draws_are_finite_reproducible_single_precision(
    sampler: TimeSampler, n: int, seed: int, stratified: bool
) -> None:
    first, again = (
        sampler.sample(n, torch.Generator().manual_seed(seed), stratified=stratified)
        for _ in range(2)
    )
    assert first.shape == (n,)
    assert first.dtype == torch.float32
    assert first.isfinite().all()
    assert torch.equal(first, again)


@pytest.mark.parametrize("stratified", [True, False])
def test_logistic_density(stratified: bool) -> None:
    draws = Logistic(0.5, 1.3).sample(4000, torch.Generator().manual_seed(0), stratified=stratified)
    assert kstest(draws.numpy(), "logistic", args=(0.5, 1.3)).statistic < 0.03


def test_logistic_is_uniform_time_under_issnr() -> None:
    u = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    levels = Logistic(mean=2.0, scale=1.5).quantile(u)
    torch.testing.assert_close(levels, ISSNR(eta=1.5, kappa=2.0).lam(1 - u))


def test_truncation_holds() -> None:
    draws = Logistic(0.0, 2.0, lam_min=-1.0, lam_max=0.5).sample(1000)
    assert draws.min() >= -1.0
    assert draws.max() <= 0.5


def test_stratified_draws_fill_every_slice_in_random_order() -> None:
    sampler = LogUniform(math.exp(-1.0), 1.0)
    draws = sampler.sample(100, torch.Generator().manual_seed(0))
    assert (draws * 100).floor().sort().values.tolist() == list(range(100))
    assert not torch.equal(draws, draws.sort().values)


def test_mixture_keeps_its_shares() -> None:
    low, high = LogUniform(0.5, 1.0), LogUniform(0.01, 0.1)
    draws = Mixture(((3.0, low), (1.0, high))).sample(1000, torch.Generator().manual_seed(0))
    assert (draws > 1).sum() == 250


@pytest.mark.parametrize(
    "build",
    [
        lambda: Logistic(scale=0.0),
        lambda: Logistic(lam_min=1.0, lam_max=1.0),
        lambda: LogUniform(0.0, 1.0),
        lambda: LogUniform(1.0, 0.5),
        lambda: Mixture(()),
        lambda: Mixture(((0.0, Logistic()),)),
    ],
)
def test_empty_densities_are_refused(build: object) -> None:
    with pytest.raises(UsageError):
        build()  # type: ignore[operator]


@given(st.floats(-6, 6))
def test_uncapped_weight_is_the_velocity_loss(level: float) -> None:
    lam = torch.tensor(level, dtype=torch.float64)
    a, b = unit_tv(lam)
    truth, guess, eps = torch.randn(3, 8, dtype=torch.float64)
    x = a * truth + b * eps
    error = (truth - guess).square().mean()
    guessed_noise = (x - a * guess) / b
    velocity = (V.target(truth, eps, a, b) - V.target(guess, guessed_noise, a, b)).square().mean()
    torch.testing.assert_close(MinSNR(math.inf)(lam) * error, velocity, rtol=1e-6, atol=1e-9)


@given(st.floats(-20, 60))
def test_weights_are_bounded(level: float) -> None:
    lam = torch.tensor(level)
    assert 1 <= float(MinSNR(5.0)(lam)) <= 5
    assert float(Unit()(lam)) == 1
