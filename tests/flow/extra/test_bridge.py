"""Bridges: their weights, the exact step, Bayes' rule, the SDE, and the solvers' frame."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import DDIM, Gaussian, TimeGrid, UniPC2
from molgen.flow.extra.bridge import (
    OU,
    Bridge,
    FromStructure,
    Path,
    Resfusion,
    ResShift,
    Straight,
    aligned,
)

levels = st.floats(-4, 6)
gaps = st.floats(0.01, 4)
strengths = st.one_of(st.floats(0, 3), st.just(math.inf))
PATHS = [Straight(), ResShift(), ResShift(0.3), Resfusion(), OU(), OU(3.0, 0.1, 2.0)]
paths = st.sampled_from(PATHS)
B, N = 3, 5
MASK = torch.arange(N) < torch.tensor([[5], [3], [2]])


def draw(seed: int, n: int = 4) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, B, N, 3, generator=generator, dtype=torch.float64))


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


# ------------------------------------------------------------------------------------- weights


@given(paths, levels)
def test_weights_have_the_level_as_half_log_snr(path: Path, lam: float) -> None:
    a, _, b = path.weights(scalar(lam))
    assert float(torch.log(a / b)) == pytest.approx(lam, abs=1e-9)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_ends_at_the_data(path: Path) -> None:
    assert [float(weight) for weight in path.weights(scalar(math.inf))] == [1.0, 0.0, 0.0]


@given(levels, st.floats(0.1, 5))
def test_residual_shifting_has_the_published_weights(lam: float, kappa: float) -> None:
    a, eta, b = ResShift(kappa).weights(scalar(lam))
    torch.testing.assert_close(a, 1 - eta, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(b, kappa * torch.sqrt(eta))
    torch.testing.assert_close(ResShift(kappa).lam(eta), scalar(lam), rtol=1e-6, atol=1e-6)


@given(levels)
def test_residual_diffusion_has_the_published_weights(lam: float) -> None:
    a, c, b = Resfusion().weights(scalar(lam))
    s = (1 + a) / 2
    torch.testing.assert_close(c, 1 - s, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(b, torch.sqrt(1 - s**2), rtol=1e-7, atol=1e-9)


def test_starts_at_pure_noise_hold_no_data() -> None:
    noisy = scalar(-math.inf)
    assert [float(weight) for weight in ResShift(2.0).weights(noisy)] == [0.0, 1.0, 2.0]
    expected = [0.0, 0.5, math.sqrt(3) / 2]
    assert [float(w) for w in Resfusion().weights(noisy)] == pytest.approx(expected, abs=1e-15)


def test_the_geometric_sequence_is_the_published_one() -> None:
    path, n, p = ResShift(2.0), 15, 0.3
    first, last = min((0.04 / 2.0) ** 2, 0.001), 0.999
    base = math.exp(math.log(last / first) / (2 * (n - 1)))
    roots = [math.sqrt(first) * base ** ((t / (n - 1)) ** p * (n - 1)) for t in range(n)]
    etas = path.weights(path.levels(n, p)).c.flip(0)
    torch.testing.assert_close(etas.sqrt(), torch.tensor(roots, dtype=torch.float64))
    assert (path.levels(n, p).diff() > 0).all()


@pytest.mark.parametrize(("theta", "low", "high"), [(1.5, 0.05, 0.5), (3.0, 0.1, 2.0)])
def test_the_drift_process_matches_its_simulated_equation(
    theta: float, low: float, high: float
) -> None:
    """Ten thousand paths in 16 independent coordinates: 0.35 % standard error of the variance."""
    n_steps, data, estimate = 100, 1.0, -1.0
    generator = torch.Generator().manual_seed(0)
    x = torch.full((10_000, 16), data)
    for index in range(n_steps):
        t = (index + 0.5) / n_steps
        g = low * (high / low) ** t * math.sqrt(2 * math.log(high / low))
        half = math.exp(-0.5 * theta / n_steps)
        shock = torch.randn(x.shape, generator=generator) * g / math.sqrt(n_steps)
        x = estimate + half * (half * (x - estimate) + shock)
    path = OU(theta, low, high)
    a, c, b = path.weights(path.lam(scalar(1.0)))
    assert float(x.mean()) == pytest.approx(float(a * data + c * estimate), rel=0.01)
    assert float(x.var()) == pytest.approx(float(b**2), rel=0.01)


@given(st.floats(1e-3, 1))
def test_time_and_level_of_the_drift_process_are_inverse(t: float) -> None:
    path = OU()
    assert float(path.t_of_lam(path.lam(scalar(t)))) == pytest.approx(t, rel=1e-9)
    a, c, b = path.weights(path.lam(scalar(t)))
    growth = math.log(path.sigma_max / path.sigma_min)
    decay = math.exp(-2 * path.theta * t)
    share = growth / (path.theta + growth)
    variance = path.sigma_min**2 * (math.exp(2 * growth * t) - decay) * share
    assert float(b**2) == pytest.approx(variance, rel=1e-9)
    assert float(a + c) == pytest.approx(1.0, abs=1e-12)


# ------------------------------------------------------------------------------------- exact step


@given(levels, gaps, strengths)
def test_without_an_estimate_it_is_the_gaussian_process(lam: float, gap: float, rho: float) -> None:
    x0, eps, z, x_hat = draw(0)
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    bridge = Bridge(Straight(), x_hat)
    x_t = bridge.corrupt(x0, eps, lam_t)
    assert torch.equal(x_t, Gaussian().corrupt(x0, eps, lam_t))
    plain = Gaussian().step(x_t, x0, lam_t, lam_s, rho, z)
    assert torch.equal(bridge.step(x_t, x0, lam_t, lam_s, rho, z), plain)


@given(paths, levels, gaps)
def test_frozen_data_and_noise_stay_on_the_path(path: Path, lam: float, gap: float) -> None:
    x0, eps, _, x_hat = draw(1)
    bridge = Bridge(path, x_hat)
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    step = bridge.step(bridge.corrupt(x0, eps, lam_t), x0, lam_t, lam_s)
    torch.testing.assert_close(step, bridge.corrupt(x0, eps, lam_s), rtol=1e-8, atol=1e-8)


@given(levels, gaps, st.floats(0.2, 4))
def test_residual_shifting_steps_by_the_published_posterior(
    lam: float, gap: float, kappa: float
) -> None:
    path = ResShift(kappa)
    x0, x_t, z, x_hat = draw(2)
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    eta_t, eta_s = path.weights(lam_t).c, path.weights(lam_s).c
    mean = eta_s / eta_t * x_t + (eta_t - eta_s) / eta_t * x0
    expected = mean + kappa * torch.sqrt(eta_s / eta_t * (eta_t - eta_s)) * z
    step = Bridge(path, x_hat).step(x_t, x0, lam_t, lam_s, 1.0, z)
    torch.testing.assert_close(step, expected, rtol=1e-6, atol=1e-6)


def covariance(path: Path, lam_t: Tensor, lam_s: Tensor) -> Tensor:
    """Covariance of the states at both levels given the data, from the forward process."""
    (a_t, c_t, _), (a_s, c_s, b_s) = path.weights(lam_t), path.weights(lam_s)
    if isinstance(path, ResShift):
        return b_s**2
    if isinstance(path, Resfusion):
        return (1 - c_t) / (1 - c_s) * b_s**2
    return a_t / a_s * b_s**2


@given(paths, levels, gaps, st.floats(-2, 2), st.floats(0.05, 2))
def test_gaussian_residuals_are_sampled_by_bayes_rule(
    path: Path, lam: float, gap: float, shift: float, spread: float
) -> None:
    """The step given data is Bayes' rule, and over data drawn from theirs keeps the marginal."""
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    one, zero, x_hat = torch.ones(1, 1).double(), torch.zeros(1, 1).double(), scalar(0.7).view(1, 1)
    bridge = Bridge(path, x_hat)
    (a_t, c_t, b_t), (a_s, c_s, b_s) = path.weights(lam_t), path.weights(lam_s)

    def step(x: Tensor, x0: Tensor, z: Tensor) -> Tensor:
        return bridge.step(x, x0, lam_t, lam_s, 1.0, z)

    both = covariance(path, lam_t, lam_s)
    x_t, x0 = 1.3 * one, -0.4 * one
    mean = a_s * x0 + c_s * x_hat + both / b_t**2 * (x_t - a_t * x0 - c_t * x_hat)
    torch.testing.assert_close(step(x_t, x0, zero), mean, rtol=1e-6, atol=1e-6)
    offset = step(zero, zero, zero)
    fresh = step(zero, zero, one) - offset
    variance = (b_s**2 - both**2 / b_t**2).clamp_min(0).view(1, 1)
    torch.testing.assert_close(fresh**2, variance, rtol=1e-5, atol=1e-8)

    keep, pull = step(one, zero, zero) - offset, step(zero, one, zero) - offset
    data_mean = x_hat + shift
    gain = a_t * spread**2 / (a_t**2 * spread**2 + b_t**2)
    left = spread**2 - gain * a_t * spread**2
    slope = keep + pull * gain
    seen_mean, seen_variance = a_t * data_mean + c_t * x_hat, a_t**2 * spread**2 + b_t**2
    end_mean = keep * seen_mean + pull * data_mean + offset
    end_variance = slope**2 * seen_variance + pull**2 * left + fresh**2
    torch.testing.assert_close(end_mean, a_s * data_mean + c_s * x_hat, rtol=1e-7, atol=1e-7)
    expected = (a_s**2 * spread**2 + b_s**2).view(1, 1)
    torch.testing.assert_close(end_variance, expected, rtol=1e-6, atol=1e-8)


@given(paths, st.lists(levels, min_size=B, max_size=B), strengths)
def test_rows_that_do_not_move_stay_bit_equal(path: Path, lams: list[float], rho: float) -> None:
    x0, x_t, z, x_hat = draw(3)
    lam_t = torch.tensor(lams, dtype=torch.float64)
    lam_s = lam_t + torch.tensor([0.0, 1.0, math.inf])
    lam_t[2] = math.inf
    moved = Bridge(path, x_hat).step(x_t, x0, lam_t, lam_s, rho, z)
    assert torch.equal(moved[[0, 2]], x_t[[0, 2]])
    assert not torch.equal(moved[1], x_t[1])


@given(paths, levels, strengths)
def test_the_last_step_returns_the_prediction(path: Path, lam: float, rho: float) -> None:
    x0, x_t, z, x_hat = draw(4)
    assert torch.equal(Bridge(path, x_hat).step(x_t, x0, scalar(lam), scalar(math.inf), rho, z), x0)


@pytest.mark.parametrize("path", [Straight(), ResShift(), Resfusion()])
@pytest.mark.parametrize("rho", [0.0, 1.0, math.inf])
def test_pure_noise_is_a_finite_start(path: Path, rho: float) -> None:
    x0, eps, z, x_hat = draw(5)
    bridge = Bridge(path, x_hat)
    x = bridge.start(eps, scalar(-math.inf))
    assert bridge.step(x, x0, scalar(-math.inf), scalar(0.5), rho, z).isfinite().all()


# ------------------------------------------------------------------------------ start and symmetry


@given(paths, levels)
def test_the_start_is_the_prior_from_the_structure(path: Path, lam: float) -> None:
    _, noise, _, x_hat = draw(6)
    x_hat = Gaussian(zero_com=True).project(x_hat, MASK)
    start = Bridge(path, x_hat, mask=MASK, zero_com=True).start(noise, scalar(lam))
    prior = FromStructure(x_hat, path, zero_com=True).start(noise, scalar(lam), MASK)
    assert torch.equal(start, prior)
    a, c, b = path.weights(scalar(lam))
    expected = (a + c) * x_hat + b * Gaussian(zero_com=True).project(noise, MASK)
    torch.testing.assert_close(start, expected)


@given(paths, levels, gaps, strengths, st.integers(0, 99))
def test_a_common_rotation_carries_through(
    path: Path, lam: float, gap: float, rho: float, seed: int
) -> None:
    x0, x_t, z, x_hat = draw(seed)
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    scale = torch.linspace(0.5, 2, N, dtype=torch.float64)[:, None]
    turned = Bridge(path, x_hat @ turn, scale).step(
        x_t @ turn, x0 @ turn, lam_t, lam_s, rho, z @ turn
    )
    plain = Bridge(path, x_hat, scale).step(x_t, x0, lam_t, lam_s, rho, z)
    torch.testing.assert_close(turned, plain @ turn, rtol=1e-8, atol=1e-8)


@given(paths, levels, gaps, st.floats(0, 2))
def test_each_atom_has_its_own_noise(path: Path, lam: float, gap: float, rho: float) -> None:
    zero, eps, z, x_hat = draw(7)
    zero = torch.zeros_like(zero)
    scale = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64)[:, None]
    own, plain = Bridge(path, x_hat, scale), Bridge(path, x_hat)
    lam_t, lam_s = scalar(lam), scalar(lam + gap)
    middle = plain.corrupt(zero, zero, lam_t)
    noisy = own.corrupt(zero, eps, lam_t) - middle
    torch.testing.assert_close(noisy, scale * (plain.corrupt(zero, eps, lam_t) - middle))
    silent = plain.step(middle, zero, lam_t, lam_s, rho, zero)
    fresh = own.step(middle, zero, lam_t, lam_s, rho, z) - silent
    torch.testing.assert_close(
        fresh, scale * (plain.step(middle, zero, lam_t, lam_s, rho, z) - silent)
    )


@given(paths, levels, gaps, st.floats(0, 2))
def test_scaled_noise_stays_centred(path: Path, lam: float, gap: float, rho: float) -> None:
    x0, eps, z, x_hat = (Gaussian(zero_com=True).project(x, MASK) for x in draw(8))
    scale = torch.linspace(0.2, 3, N, dtype=torch.float64)[:, None]
    bridge = Bridge(path, x_hat, scale, MASK, zero_com=True)
    x_t = bridge.corrupt(x0, eps, scalar(lam))
    x_s = bridge.step(x_t, x0, scalar(lam), scalar(lam + gap), rho, z)
    for x in (x_t, x_s, bridge.start(draw(9)[0], scalar(lam))):
        torch.testing.assert_close(bridge.project(x), x)


# ------------------------------------------------------------------------------- solvers' frame


@given(paths, levels)
def test_frames_are_inverse_and_the_unit_one_is_the_gaussian_process(
    path: Path, lam: float
) -> None:
    x0, eps, _, x_hat = draw(10)
    bridge, level = Bridge(path, x_hat), scalar(lam)
    x = bridge.corrupt(x0, eps, level)
    unit = bridge.unit(x, level)
    torch.testing.assert_close(unit, Gaussian().corrupt(x0, eps, level), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(bridge.native(unit, level), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", PATHS)
def test_solvers_walk_bridges_in_the_unit_frame(path: Path) -> None:
    x_hat, _, noise, _ = draw(11)
    bridge, spread = Bridge(path, x_hat), 0.3
    grid = TimeGrid.log_snr(0.05, 3.0, 6)

    def denoise(x: Tensor, lam: Tensor) -> Tensor:
        """Exact for data normal about the estimate."""
        a, c, b = path.weights(lam)
        gain = a * spread**2 / (a**2 * spread**2 + b**2)
        return x_hat + gain * (x - (a + c) * x_hat)

    x = bridge.start(noise, scalar(grid.lam[0]))
    y = bridge.unit(x, scalar(grid.lam[0]))
    for now, then in zip(grid.lam, grid.lam[1:], strict=False):
        x = bridge.step(x, denoise(x, scalar(now)), scalar(now), scalar(then))
    ddim = DDIM().solve(bridge.denoiser(denoise), y, grid)
    assert isinstance(ddim, Tensor)
    torch.testing.assert_close(ddim, x, rtol=1e-9, atol=1e-9)
    # The exact flow scales the noise about the estimate to the spread of the data.
    _, _, b = path.weights(scalar(grid.lam[0]))
    a = path.weights(scalar(grid.lam[0])).a
    exact = x_hat + spread * b / torch.sqrt(a**2 * spread**2 + b**2) * noise
    unipc = UniPC2().solve(bridge.denoiser(denoise), y, grid)
    assert isinstance(unipc, Tensor)
    assert (unipc - exact).abs().max() < 0.3 * (ddim - exact).abs().max()


@pytest.mark.parametrize("path", PATHS)
def test_rows_held_clean_reach_the_network_as_they_are(path: Path) -> None:
    x0, _, noise, x_hat = draw(12)
    bridge, grid, seen = Bridge(path, x_hat), TimeGrid.log_snr(0.05, 3.0, 3), []
    lead = torch.zeros(x0.shape[:2], dtype=torch.float64)
    lead[:, 0] = math.inf
    first = scalar(grid.lam[0])
    y = torch.where(lead[..., None].isinf(), x0, bridge.unit(bridge.start(noise, first), first))
    network = bridge.denoiser(lambda x, _: (seen.append(x), x0)[1], lead)
    DDIM().solve(network, y, grid, offsets={"": lead})
    for x in seen:
        torch.testing.assert_close(x[:, 0], x0[:, 0], rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------- alignment


@given(st.integers(0, 99))
def test_alignment_undoes_a_rotation_and_no_reflection(seed: int) -> None:
    x0 = Gaussian(zero_com=True).project(draw(seed)[0], torch.ones(B, N, dtype=torch.bool))
    mask = torch.ones(B, N, dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    turn = turn * torch.linalg.det(turn).sign()
    torch.testing.assert_close(aligned(x0 @ turn + 2.0, x0, mask), x0, rtol=1e-8, atol=1e-8)
    mirrored = aligned(-x0, x0, mask)
    triple = torch.linalg.det(x0[:, :3]) * torch.linalg.det(mirrored[:, :3])
    assert (triple < 0).all()
    assert (mirrored - x0).square().sum() <= (x0 * 2).square().sum()


def test_bad_bridges_are_refused() -> None:
    for bad in (
        lambda: ResShift(0.0),
        lambda: OU(theta=0.0),
        lambda: OU(sigma_min=0.5, sigma_max=0.5),
        lambda: ResShift().levels(1),
    ):
        with pytest.raises(UsageError):
            bad()
