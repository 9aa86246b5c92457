"""Training densities over half-log-SNR."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from molgen.errors import UsageError
from molgen.flow import ISSNR, OTFlow
from molgen.flow.times import (
    Logistic,
    LogNormal,
    LogUniform,
    Mixture,
    Slice,
    TimeSampler,
    UniformTime,
)

INCREASING = [
    Logistic(),
    Logistic(0.5, 1.3, lam_min=-4.0, lam_max=5.0),
    LogNormal(),
    LogNormal(0.0, 2.0, lam_min=-3.0, lam_max=1.0),
    LogUniform(0.02, 0.3),
    UniformTime(OTFlow()),
    UniformTime(ISSNR(1.5, 1.0)),
    Slice(Logistic(), 0.2, 0.9),
]
MIXTURE = Mixture(((3.0, Logistic(0.5, 1.0)), (1.0, LogUniform(0.02, 0.3))))
increasing = st.sampled_from(INCREASING)
samplers = st.sampled_from([*INCREASING, MIXTURE])


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


@pytest.mark.parametrize("density", [Logistic, LogNormal])
def test_truncation_holds(density: type) -> None:
    draws = density(0.0, 2.0, lam_min=-1.0, lam_max=0.5).sample(1000)
    assert -1.0 <= draws.min() < -0.9
    assert 0.4 < draws.max() <= 0.5


def test_log_normal_density() -> None:
    draws = LogNormal().sample(4000, torch.Generator().manual_seed(0))
    assert kstest(draws.numpy(), "norm", args=(1.2, 1.2)).statistic < 0.01


def test_truncated_log_normal_is_the_normal_density_within_its_ends() -> None:
    draws = LogNormal(0.0, 1.0, lam_min=-1.0, lam_max=2.0).sample(4000)
    ends = (-1.0, 2.0)
    assert kstest(draws.numpy(), "truncnorm", args=ends).statistic < 0.01


@pytest.mark.parametrize("schedule", [OTFlow(), ISSNR(1.5, 1.0)])
def test_uniform_time_spreads_times_evenly(schedule: OTFlow | ISSNR) -> None:
    draws = UniformTime(schedule).sample(1000, torch.Generator().manual_seed(0)).double()
    times = schedule.t_of_lam(draws)
    width = schedule.t_max - schedule.t_min
    assert kstest(times.numpy(), "uniform", args=(schedule.t_min, width)).statistic < 0.01


def test_uniform_time_of_issnr_is_the_logistic_density() -> None:
    schedule = ISSNR(eta=1.5, kappa=2.0)
    ends = schedule.lam(torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64))
    u = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    logistic = Logistic(2.0, 1.5, *ends.tolist())
    torch.testing.assert_close(UniformTime(schedule).quantile(u), logistic.quantile(u))


@given(increasing, st.floats(0.01, 0.99))
def test_the_cdf_inverts_the_quantiles(sampler: TimeSampler, u: float) -> None:
    level = float(sampler.quantile(torch.tensor(u, dtype=torch.float64)))
    assert sampler.cdf(level) == pytest.approx(u, abs=1e-9)


@given(samplers)
def test_the_cdf_ends_at_zero_and_one(sampler: TimeSampler) -> None:
    assert sampler.cdf(-math.inf) == 0
    assert sampler.cdf(math.inf) == pytest.approx(1, abs=1e-15)


@given(samplers, st.floats(0.05, 0.95), st.integers(0, 9))
def test_below_a_level_the_density_is_the_old_one_cut_off(
    sampler: TimeSampler, u: float, seed: int
) -> None:
    draws = sampler.sample(4000, torch.Generator().manual_seed(seed)).double()
    limit = float(draws.sort().values[int(4000 * u)])
    kept = draws[draws <= limit]
    below = sampler.below(limit).sample(len(kept), torch.Generator().manual_seed(seed + 1)).double()
    assert float(below.max()) <= limit + 1e-6
    gap = torch.searchsorted(below.sort().values, kept.sort().values) / len(kept)
    even = torch.arange(len(kept)) / len(kept)
    # Both are stratified, so their distribution functions agree to a few draws.
    assert float((gap - even).abs().max()) < 0.02


def test_levels_of_a_batch_have_its_length() -> None:
    x0 = torch.zeros(7, 3, 4, 4)
    one, same = (LogNormal().levels(x0, torch.Generator().manual_seed(0)) for _ in range(2))
    assert one.shape == (7,)
    assert torch.equal(one, same)
    assert torch.equal(one, LogNormal().sample(7, torch.Generator().manual_seed(0)))


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
        lambda: LogNormal(std=0.0),
        lambda: LogNormal(lam_min=2.0, lam_max=1.0),
        lambda: Slice(Logistic(), 0.5, 0.5),
        lambda: Slice(Logistic(), 0.5, 1.5),
        lambda: LogUniform(0.1, 1.0).below(-3.0),
        lambda: Mixture(()),
        lambda: Mixture(((0.0, Logistic()),)),
    ],
)
def test_empty_densities_are_refused(build: object) -> None:
    with pytest.raises(UsageError):
        build()  # type: ignore[operator]
