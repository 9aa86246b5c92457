"""Starts that know the data's moments, and starts from a structure."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import Gaussian, TimeGrid, UniPC2, unit_tv
from molgen.flow.extra.bridge import FromStructure, ResShift, Straight
from molgen.flow.extra.multi import Matched, Moments

from .mixtures import Mixture

levels = st.floats(-4, 4)


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ------------------------------------------------------------------------------------- moments


@given(levels, st.integers(0, 99))
def test_the_start_has_the_moments_of_the_noisy_data(lam: float, seed: int) -> None:
    x = normal(seed, 40, 6) @ normal(seed + 1, 6, 6) + normal(seed + 2, 6)
    moments = Moments.full(x)
    a, b = (weight.view(1, 1) for weight in unit_tv(scalar(lam)))
    mean = moments.draw(torch.zeros(1, 6).double(), a, b)
    root = moments.draw(torch.eye(6).double(), a, b) - mean
    torch.testing.assert_close(mean[0], a[0] * x.mean(0))
    covariance = b**2 * torch.eye(6).double() + a**2 * torch.cov(x.T)
    torch.testing.assert_close(root.T @ root, covariance, rtol=1e-8, atol=1e-8)


@given(levels)
def test_data_of_unit_variance_change_nothing(lam: float) -> None:
    one = Moments(scalar(0.0), scalar(1.0))
    noise = normal(0, 3, 5, 3)
    start = Matched({5: one}).start(noise, scalar(lam))
    torch.testing.assert_close(start, Gaussian().prior(noise), rtol=1e-12, atol=1e-12)


@given(st.integers(2, 12), st.floats(0.2, 3))
def test_the_variance_of_molecules_counts_their_degrees_of_freedom(n: int, spread: float) -> None:
    mask = torch.ones(1, n, dtype=torch.bool).expand(4000, n)
    x = spread * Gaussian(zero_com=True).project(normal(n, 4000, n, 3), mask)
    variance = float(Moments.isotropic(x, 3 * n - 3).covariance)
    # Standard error 1.3 % for the three degrees of freedom of a pair.
    assert variance == pytest.approx(spread**2, rel=6 * math.sqrt(2 / (4000 * (3 * n - 3))))


@given(levels)
def test_starts_stay_centred_and_padding_zero(lam: float) -> None:
    mask = torch.arange(6) < torch.tensor([[6], [4], [2]])
    process = Gaussian(zero_com=True)
    by_size = {}
    for n in (2, 4, 6):
        x = process.project(normal(n, 50, n, 3), torch.ones(50, n, dtype=torch.bool))
        by_size[n] = Moments.full(x * torch.tensor([0.5, 1.0, 2.0]))
    start = Matched(by_size, zero_com=True).start(normal(1, 3, 6, 3), scalar(lam), mask)
    torch.testing.assert_close(process.project(start, mask), start, rtol=1e-8, atol=1e-8)
    assert not start[~mask].any()


def test_levels_and_sizes_are_each_molecules_own() -> None:
    mask = torch.arange(6) < torch.tensor([[6], [4], [6]])
    prior = Matched({4: Moments(scalar(0.0), scalar(4.0)), 7: Moments(scalar(0.0), scalar(0.25))})
    lam = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    noise = normal(2, 3, 6, 3)
    together = prior.start(noise, lam, mask)
    for index in range(3):
        one = slice(index, index + 1)
        assert torch.equal(together[one], prior.start(noise[one], lam[index], mask[one]))
    a, b = unit_tv(scalar(0.0))
    torch.testing.assert_close(together[1, :4], torch.sqrt(b**2 + 4 * a**2) * noise[1, :4])


# ---------------------------------------------------------------------------- acceptance


def planted(n_atoms: int) -> Mixture:
    """Molecules of which size tells the extent and the place: radius grows with the cube root."""
    dim, spread = 3 * n_atoms, 0.6 * n_atoms ** (1 / 3) / 2
    means = 0.4 * normal(n_atoms, 1, dim) + 0.8 * spread * normal(n_atoms + 1, 8, dim)
    return Mixture(means, torch.full((dim,), 0.6 * spread, dtype=torch.float64))


def starts(mixture: Mixture, lam: Tensor, n: int) -> dict[str, Tensor]:
    """First states from one noise: the true ones, plain noise, and matched ones."""
    generator, eps = torch.Generator().manual_seed(7), normal(8, n, mixture.dim)
    fitted = {mixture.dim: Moments.full(mixture.sample(2000, generator))}
    return {
        "true": Gaussian().corrupt(mixture.sample(n, generator), eps, lam),
        "plain": Gaussian().prior(eps),
        "matched": Matched(fitted).start(eps, lam),
    }


def radius(x: Tensor) -> float:
    """Mean radius of gyration."""
    atoms = x.reshape(len(x), -1, 3)
    centred = atoms - atoms.mean(1, keepdim=True)
    return float(centred.square().sum(-1).mean(1).sqrt().mean())


@pytest.mark.parametrize("n_atoms", [10, 80])
def test_the_error_of_the_size_falls_by_more_than_half(n_atoms: int) -> None:
    """At gamma = 0.075, where the schedule for molecules of arXiv 2502.08598 starts."""
    mixture, lam = planted(n_atoms), scalar(math.log(0.075))
    drawn = starts(mixture, lam, 1500)
    first = {kind: abs(radius(x) - radius(drawn["true"])) for kind, x in drawn.items()}
    grid = TimeGrid.log_snr(0.01, 1 / 0.075, 10)
    ends = {kind: UniPC2().solve(mixture.denoise, x, grid) for kind, x in drawn.items()}
    last = {kind: abs(radius(x) - radius(ends["true"])) for kind, x in ends.items()}
    assert first["matched"] < 0.5 * first["plain"]
    assert last["matched"] < 0.5 * last["plain"]


# ------------------------------------------------------------------------------- structures


@given(levels)
def test_a_structure_is_noised_to_the_level(lam: float) -> None:
    x_hat, noise = normal(3, 2, 4, 5, 3)
    a, b = unit_tv(scalar(lam))
    torch.testing.assert_close(
        FromStructure(x_hat).start(noise, scalar(lam)), a * x_hat + b * noise
    )
    assert FromStructure(x_hat).path == Straight()
    kappa = 0.7
    start = FromStructure(x_hat, ResShift(kappa)).start(noise, scalar(-math.inf))
    torch.testing.assert_close(start, x_hat + kappa * noise)


def test_bad_priors_are_refused() -> None:
    with pytest.raises(UsageError):
        Matched({})
    with pytest.raises(UsageError):
        Matched({3: Moments(scalar(0.0), scalar(1.0))}).start(normal(0, 2, 3, 3), torch.zeros(2, 3))
