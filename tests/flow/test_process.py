"""Laws of corruption, the exact step, centring and parameterisations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow import (
    EPS,
    PARAMETERISATIONS,
    X0,
    Gaussian,
    Parameterisation,
    U,
    V,
    center,
    unit_tv,
)
from molgen.flow.process import exact_step

levels = st.floats(-6, 7)
strengths = st.one_of(st.floats(0, 3), st.just(math.inf))
dtypes = st.sampled_from([torch.float32, torch.float64])
B, N = 3, 5
MASK = torch.arange(N) < torch.tensor([[5], [2], [1]])


def draw(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x0, eps, z = torch.randn(3, B, N, 3, generator=generator, dtype=dtype)
    return x0, eps, z


@given(levels, levels)
def test_rho_one_is_the_ddpm_posterior(first: float, second: float) -> None:
    lam_t, lam_s = torch.tensor(sorted((first, second + 1e-3)), dtype=torch.float64)
    if lam_s - lam_t < 1e-6:
        return
    x0, x_t, z = draw(0)
    alpha_bar_t, alpha_bar_s = torch.sigmoid(2 * lam_t), torch.sigmoid(2 * lam_s)
    alpha = alpha_bar_t / alpha_bar_s
    share = (1 - alpha_bar_s) / (1 - alpha_bar_t)
    mean = alpha_bar_s.sqrt() * (1 - alpha) / (1 - alpha_bar_t) * x0 + alpha.sqrt() * share * x_t
    posterior = mean + (share * (1 - alpha)).sqrt() * z
    step = Gaussian().step(x_t, x0, lam_t, lam_s, rho=1.0, z=z)
    torch.testing.assert_close(step, posterior, rtol=1e-9, atol=1e-9)


@given(levels, st.floats(0.01, 5))
def test_rho_zero_is_ddim(lam: float, gap: float) -> None:
    lam_t = torch.tensor(lam, dtype=torch.float64)
    lam_s = lam_t + gap
    x0, x_t, z = draw(1)
    (a_t, b_t), (a_s, b_s) = unit_tv(lam_t), unit_tv(lam_s)
    ddim = a_s * x0 + b_s * (x_t - a_t * x0) / b_t
    torch.testing.assert_close(Gaussian().step(x_t, x0, lam_t, lam_s, 0.0, z), ddim)


@given(levels, st.floats(0.01, 5), strengths)
def test_noise_keeps_its_variance_given_the_data(lam: float, gap: float, rho: float) -> None:
    lam_t = torch.tensor(lam, dtype=torch.float64)
    lam_s = lam_t + gap
    zero, one = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    b_t, b_s = unit_tv(lam_t)[1], unit_tv(lam_s)[1]
    old = Gaussian().step(b_t * one, zero, lam_t, lam_s, rho, zero)
    new = Gaussian().step(zero, zero, lam_t, lam_s, rho, one)
    torch.testing.assert_close(old**2 + new**2, (b_s**2).reshape(1, 1))


@given(levels, st.floats(0.01, 4), st.floats(0.01, 4), st.floats(0, 2))
def test_two_steps_with_one_prediction_are_one(
    lam: float, first: float, second: float, rho: float
) -> None:
    lam_t = torch.tensor(lam, dtype=torch.float64)
    x0, x_t, _ = draw(2)
    step = Gaussian().step
    middle = step(x_t, x0, lam_t, lam_t + first, rho)
    twice = step(middle, x0, lam_t + first, lam_t + (first + second), rho)
    torch.testing.assert_close(twice, step(x_t, x0, lam_t, lam_t + (first + second), rho))


@given(levels, strengths, dtypes)
def test_last_step_returns_the_prediction_exactly(
    lam: float, rho: float, dtype: torch.dtype
) -> None:
    x0, x_t, z = draw(3, dtype)
    clean = Gaussian().step(x_t, x0, torch.tensor(lam), torch.tensor(math.inf), rho, z)
    assert clean.dtype == dtype
    assert torch.equal(clean, x0)


@given(st.lists(levels, min_size=B, max_size=B), strengths)
def test_rows_that_do_not_move_stay_bit_equal(lams: list[float], rho: float) -> None:
    x0, x_t, z = draw(4)
    lam_t = torch.tensor(lams, dtype=torch.float64)
    lam_s = lam_t + torch.tensor([0.0, 1.0, math.inf])
    lam_t[2] = math.inf
    moved = Gaussian().step(x_t, x0, lam_t, lam_s, rho, z)
    assert torch.equal(moved[[0, 2]], x_t[[0, 2]])
    assert not torch.equal(moved[1], x_t[1])


@given(levels, st.floats(0, 3), st.floats(0, 2), dtypes)
def test_scalar_and_equal_vector_levels_are_bit_equal(
    lam: float, gap: float, rho: float, dtype: torch.dtype
) -> None:
    x0, eps, z = draw(5, dtype)
    t, s = torch.tensor(lam), torch.tensor(lam + gap)
    process = Gaussian()
    x_t = process.corrupt(x0, eps, t)
    x_s = process.step(x_t, x0, t, s, rho, z)
    for shape in ((B,), (B, N)):
        assert torch.equal(process.corrupt(x0, eps, t.expand(shape)), x_t)
        assert torch.equal(process.step(x_t, x0, t.expand(shape), s.expand(shape), rho, z), x_s)


def test_equal_levels_of_a_whole_molecule_match_one_by_one() -> None:
    lam = torch.linspace(-5, 6, 41, dtype=torch.float64)
    together = torch.stack(unit_tv(lam))
    apart = torch.stack([torch.stack(unit_tv(level)) for level in lam], dim=1)
    assert torch.equal(together, apart)


@given(levels)
def test_single_precision_states_follow_double_ones(lam: float) -> None:
    x0, eps, _ = draw(6)
    single = Gaussian().corrupt(x0.float(), eps.float(), torch.tensor(lam))
    double = Gaussian().corrupt(x0, eps, torch.tensor(lam))
    assert (single - double).abs().max() < 1e-6


@given(st.integers(0, 1000), dtypes)
def test_centring_is_a_projection(seed: int, dtype: torch.dtype) -> None:
    x = draw(seed, dtype)[0]
    once = center(x, MASK)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert once.sum(1).abs().max() < tolerance
    assert torch.equal(once[~MASK], torch.zeros_like(once[~MASK]))
    torch.testing.assert_close(center(once, MASK), once)
    torch.testing.assert_close(center(x + 3.0, MASK), once, rtol=0, atol=10 * tolerance)


@given(levels, st.floats(0.1, 3), st.floats(0, 2))
def test_steps_stay_centred(lam: float, gap: float, rho: float) -> None:
    process, t = Gaussian(zero_com=True), torch.tensor(lam, dtype=torch.float64)
    x0, eps, z = (process.project(x, MASK) for x in draw(7))
    x_s = process.step(process.corrupt(x0, eps, t), x0, t, t + gap, rho, z)
    torch.testing.assert_close(process.project(x_s, MASK), x_s)


@given(levels, st.sampled_from([0.0, 0.5, 1.0, math.inf]), dtypes)
def test_pure_noise_is_a_finite_start(lam: float, rho: float, dtype: torch.dtype) -> None:
    x0, eps, z = draw(11, dtype)
    level = torch.tensor(lam, dtype=torch.float64)
    (a_s, b_s), noise = unit_tv(level), z if rho else eps
    step = Gaussian().step(eps, x0, torch.tensor(-math.inf), level, rho, z)
    torch.testing.assert_close(step, a_s.to(dtype) * x0 + b_s.to(dtype) * noise)
    rows = torch.tensor([-math.inf, lam, -math.inf], dtype=torch.float64)
    mixed = Gaussian().step(
        eps, x0, rows, torch.tensor([lam, lam, -math.inf], dtype=torch.float64), rho, z
    )
    assert torch.equal(mixed[0], step[0])
    assert torch.equal(mixed[1:], eps[1:])


@given(levels, st.floats(0.01, 5), st.floats(0, 2), st.floats(0.5, 2), st.floats(0, 2))
def test_noise_decay_and_scale_change_their_terms_only(
    lam: float, gap: float, rho: float, decay: float, scale: float
) -> None:
    lam_t = torch.tensor(lam, dtype=torch.float64)
    lam_s = lam_t + gap
    x0, eps, z = draw(12)
    x_t = Gaussian().corrupt(x0, eps, lam_t)
    (a_s, b_s), sigma_t, r = unit_tv(lam_s), torch.exp(-lam_t), math.exp(-gap)
    old = a_s * sigma_t * r ** (decay * (1 + rho**2)) * eps
    new = scale * b_s * math.sqrt(1 - r ** (2 * rho**2)) * z
    step = exact_step(x_t, x0, lam_t, lam_s, rho, z, noise_decay=decay, s_noise=scale)
    torch.testing.assert_close(step, a_s * x0 + old + new, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("decay", [0.5, 1.5])
@given(rho=strengths)
def test_inexact_decay_is_finite_at_both_ends(decay: float, rho: float) -> None:
    x0, eps, z = draw(13)
    noisy, level, clean = torch.tensor([-math.inf, 0.5, math.inf], dtype=torch.float64)
    for lam_t, lam_s in ((noisy, level), (level, clean), (noisy, clean)):
        end = exact_step(eps, x0, lam_t, lam_s, rho, z, noise_decay=decay)
        assert torch.equal(end, exact_step(eps, x0, lam_t, lam_s, rho, z))


def test_other_modalities_are_not_centred() -> None:
    noise = draw(8)[0]
    assert torch.equal(Gaussian().prior(noise), noise)
    masked = Gaussian().prior(noise, MASK)
    assert torch.equal(masked[MASK], noise[MASK])
    assert not masked[~MASK].any()
    image = torch.randn(2, 3, 4, 4)
    assert torch.equal(Gaussian().prior(image), image)


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS.values(), ids=PARAMETERISATIONS)
@given(lam=levels)
def test_every_target_gives_the_data_back(parameterisation: Parameterisation, lam: float) -> None:
    x0, eps, _ = draw(9)
    level = torch.tensor(lam, dtype=torch.float64)
    a, b = unit_tv(level)
    out = parameterisation.target(x0, eps, a, b)
    back = parameterisation.x0(out, a * x0 + b * eps, level.expand(B))
    torch.testing.assert_close(back, x0, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("lam", [-math.inf, math.inf])
def test_parameterisations_are_finite_at_both_ends(lam: float) -> None:
    x0, eps, _ = draw(10, torch.float32)
    level = torch.tensor(lam)
    x = Gaussian().corrupt(x0, eps, level)
    # Noise prediction refuses pure noise; tests/flow/test_objective.py has that.
    for parameterisation in (X0, U, V) if lam < 0 else (X0, EPS, U, V):
        assert parameterisation.x0(eps, x, level).isfinite().all()
    assert torch.equal(V.x0(eps, x0, torch.tensor(math.inf)), x0)
