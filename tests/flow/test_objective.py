"""The denoising loss of one modality."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, Asynchronous
from molgen.flow.coupling import AtomOT, BatchOT, Independent
from molgen.flow.objective import Objective, clean_error, denoising_loss
from molgen.flow.parameterisation import EPS, X0, Parameterisation, V
from molgen.flow.process import Gaussian, center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import expand_like
from molgen.flow.times import Logistic
from molgen.flow.weighting import CappedSNR, EDMWeight, MinSNR, Unit, Weighting

parameterisations = st.sampled_from([X0, EPS, V])
weightings = st.sampled_from([Unit(), MinSNR(5.0), MinSNR(math.inf), CappedSNR(3.0), EDMWeight()])
shapes = st.sampled_from([(6, 5, 3), (6, 3, 4, 4), (6, 2)])
seeds = st.integers(0, 10_000)
LEVELS = Logistic(0.5, 1.0, lam_min=-5.0, lam_max=5.0)


def draw(seed: int, shape: tuple[int, ...], *, rows: bool) -> tuple[Tensor, ...]:
    """Clean data, noise, a guess and levels."""
    generator = torch.Generator().manual_seed(seed)
    x0, eps, guess = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    lam = torch.rand(shape[: 1 + rows], generator=generator, dtype=torch.float64) * 8 - 4
    return x0, eps, guess, lam


def output(p: Parameterisation, guess: Tensor, x: Tensor, lam: Tensor) -> Tensor:
    """What a network says that believes in ``guess``."""
    a, b = (expand_like(amplitude, x) for amplitude in unit_tv(lam))
    return p.target(guess, (x - a * guess) / b, a, b)


@given(parameterisations, weightings, shapes, seeds, st.booleans())
def test_every_parameterisation_has_the_loss_of_its_clean_estimate(
    p: Parameterisation, weighting: Weighting, shape: tuple[int, ...], seed: int, rows: bool
) -> None:
    x0, eps, guess, lam = draw(seed, shape, rows=rows)
    x = Gaussian().corrupt(x0, eps, lam)
    out = output(p, guess, x, lam)
    torch.testing.assert_close(p.x0(out, x, lam), guess)
    there = denoising_loss(out, x0, eps, lam, p, weighting)
    here = clean_error(guess, x0, lam, weighting)
    torch.testing.assert_close(there, here)
    weight = expand_like(weighting(lam), x0)
    torch.testing.assert_close(here, ((guess - x0) ** 2 * weight).flatten(1).mean(1))


@pytest.mark.parametrize(
    ("p", "weighting"), [(X0, Unit()), (EPS, CappedSNR(math.inf)), (V, MinSNR(math.inf))]
)
def test_natural_weights_are_plain_mean_squares(p: Parameterisation, weighting: Weighting) -> None:
    x0, eps, out, lam = draw(0, (6, 3, 4, 4), rows=False)
    a, b = (expand_like(amplitude, x0) for amplitude in unit_tv(lam))
    plain = (out - p.target(x0, eps, a, b)).square().mean((1, 2, 3))
    torch.testing.assert_close(denoising_loss(out, x0, eps, lam, p, weighting), plain)


@given(parameterisations, weightings, seeds, st.booleans())
def test_padding_and_given_rows_do_not_count(
    p: Parameterisation, weighting: Weighting, seed: int, infinite: bool
) -> None:
    x0, eps, out, lam = draw(seed, (4, 7, 3), rows=True)
    mask = torch.arange(7).expand(4, 7) < 5
    lam[:, 3:5] = math.inf if infinite else CLEAN_LEVEL
    whole = denoising_loss(out, x0, eps, lam, p, weighting, mask)
    part = [tensor[:, :3] for tensor in (out, x0, eps, lam)]
    torch.testing.assert_close(whole, denoising_loss(*part, p, weighting))
    out[:, 3:] = 1e3
    assert torch.equal(whole, denoising_loss(out, x0, eps, lam, p, weighting, mask))


def test_a_sample_without_rows_to_predict_costs_nothing() -> None:
    x0, eps, out, lam = draw(0, (2, 3, 3), rows=True)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert torch.equal(
        denoising_loss(out, x0, eps, lam, V, Unit(), nothing), torch.zeros(2).double()
    )


@given(parameterisations, seeds)
def test_an_oracle_costs_nothing_and_its_levels_come_back(p: Parameterisation, seed: int) -> None:
    x0, *_ = draw(seed, (16, 3, 4, 4), rows=False)
    objective = Objective(Gaussian(), BatchOT(), LEVELS, Unit(), p)
    seen = []

    def oracle(x: Tensor, lam: Tensor) -> Tensor:
        seen.append(lam)
        return output(p, x0, x, lam)

    loss = objective.loss(oracle, x0, torch.Generator().manual_seed(seed))
    assert loss.per_sample.shape == (16,)
    assert float(loss.per_sample.max()) < 1e-18
    assert torch.equal(loss.lam, seen[0])
    assert float(loss.lam.abs().max()) <= 5


def test_a_network_that_says_nothing_pays_the_variance() -> None:
    x0 = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    objective = Objective(Gaussian(), Independent(), LEVELS, MinSNR(math.inf), V)
    loss = objective.loss(lambda x, _: torch.zeros_like(x), x0, torch.Generator().manual_seed(1))
    # The velocity of unit data has unit variance at every level: 4 deviations of its mean.
    assert float(loss.per_sample.mean()) == pytest.approx(1, abs=4 / math.sqrt(4000))


@given(seeds)
def test_molecules_go_the_same_way_centred_padded_and_with_levels_per_row(seed: int) -> None:
    mask = torch.arange(6).expand(5, 6) < torch.tensor([[3], [6], [4], [6], [2]])
    x0 = center(draw(seed, (5, 6, 3), rows=False)[0], mask)
    times = Asynchronous(LEVELS, 0.5, 0.3)
    states = []

    def network(x: Tensor, lam: Tensor) -> Tensor:
        states.append((x, lam))
        return torch.zeros_like(x)

    objective = Objective(Gaussian(zero_com=True), AtomOT(), times, MinSNR(), V)
    loss, again = (
        objective.loss(network, x0, torch.Generator().manual_seed(seed), mask) for _ in range(2)
    )
    assert torch.equal(loss.per_sample, again.per_sample)
    assert loss.per_sample.isfinite().all()
    (x, lam), _ = states
    assert not x[~mask].any()
    given_rows = (lam == CLEAN_LEVEL) & mask
    torch.testing.assert_close(x[given_rows], x0[given_rows], rtol=0, atol=1e-7)


def test_gradients_reach_the_network() -> None:
    layer = torch.nn.Linear(2, 2)
    objective = Objective(Gaussian(), BatchOT(), LEVELS, MinSNR(), V)
    loss = objective.loss(lambda x, _: layer(x), torch.randn(8, 2)).per_sample.mean()
    loss.backward()
    assert float(layer.weight.grad.abs().max()) > 0


def test_noise_prediction_refuses_pure_noise() -> None:
    x = torch.ones(2, 3)
    level = torch.tensor([0.0, -torch.inf])
    with pytest.raises(UsageError, match="zero signal-to-noise"):
        EPS.x0(x, x, level)
    assert torch.isfinite(V.x0(x, x, level)).all()
