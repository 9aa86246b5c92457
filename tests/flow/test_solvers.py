"""Solvers: independence of the total variance, identities, orders of convergence, contract."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from molgen.flow import OTFlow, Schedule, State, TimeGrid, unit_tv
from molgen.flow.extra.evodiff import EVODiff
from molgen.flow.schedules import ISSNR, Cosine, Polynomial
from molgen.flow.solvers import (
    DDIM,
    PLMS,
    RK45,
    Ancestral,
    DPMpp2M,
    DPMpp2MSDE,
    EDMChurn,
    Euler,
    ExpMultistep,
    Heun,
    Solver,
    UniPC2,
    UniPC3,
)
from molgen.flow.solvers.blend import Exponential, phi

from .mixtures import Mixture, bell, mol27, normal, toy2
from .schedules_under_test import Geometric, Sigma, schedules, shares, spanning, time_at

MOL27 = mol27()


few = settings(max_examples=30)


def tensor(state: State) -> Tensor:
    assert isinstance(state, Tensor)
    return state


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ----------------------------------------------------------------------------- total variance


@given(schedules, shares, shares, st.integers(0, 99))
def test_exact_step_is_the_same_in_every_frame(
    schedule: Schedule, first: float, second: float, seed: int
) -> None:
    late, early = sorted((first, second), reverse=True)
    t, s = (schedule.coefficients(time_at(schedule, share)) for share in (late, early))
    if not t.lam < s.lam:
        return
    x0, eps = normal(4, 3, seed), normal(4, 3, seed + 100)
    grid = TimeGrid((float(t.lam), float(s.lam)))
    landed = DDIM().solve(lambda *_: x0, (t.a * x0 + t.b * eps) / t.tau, grid)
    torch.testing.assert_close(landed * s.tau, s.a * x0 + s.b * eps, rtol=1e-10, atol=1e-10)


def published(name: str, schedule: Schedule, grid: TimeGrid, x: Tensor) -> Tensor:
    """Textbook solvers on raw states ``a x0 + b eps`` of a schedule, its total variance in full."""
    at = schedule.coefficients(schedule.t_of_lam(doubles(*grid.lam)))
    a, b, h = at.a, at.b, at.lam.diff()
    x0, old = MOL27.denoise(x / at.tau[0], at.lam[0]), None
    for i in range(grid.n_steps):
        eps, bh, x_t = (x - a[i] * x0) / b[i], torch.expm1(-h[i]), x
        start = b[i + 1] / b[i] * x - a[i + 1] * bh * x0
        x = start
        if old is not None and name in {"dpm++2m", "unipc2"}:
            x = start - a[i + 1] * bh * h[i] / (2 * h[i - 1]) * (x0 - old[0])
        if old is not None and name == "adams2-eps":
            # int_0^h e^(h - u) u du = e^h - 1 - h
            slope = (eps - old[1]) / h[i - 1] * (torch.expm1(h[i]) - h[i])
            x = a[i + 1] / a[i] * x_t - b[i + 1] * (torch.expm1(h[i]) * eps + slope)
        end_x0 = MOL27.denoise(x / at.tau[i + 1], at.lam[i + 1])
        if name == "unipc2" and i < grid.n_steps - 1:
            change = 0.5 * (end_x0 - x0)
            if old is not None:
                ratio = -h[i - 1] / h[i]
                second = bh / -h[i] - 1
                right = torch.stack([second, 2 * (second / -h[i] - 0.5)]) / bh
                left = torch.tensor([[1, 1], [float(ratio), 1]], dtype=torch.float64)
                c0, c1 = torch.linalg.solve(left, right)
                change = c0 * (old[0] - x0) / ratio + c1 * (end_x0 - x0)
            x = start - a[i + 1] * bh * change
        old, x0 = (x0, eps), end_x0
    return x


@pytest.mark.parametrize("variance", ["const", "ot", "ve"])
@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("ddim", DDIM()),
        ("dpm++2m", DPMpp2M(lower_order_final=False)),
        ("adams2-eps", ExpMultistep(2, "eps", lower_order_final=False)),
        ("unipc2", UniPC2(lower_order_final=False)),
    ],
)
def test_exponential_solvers_equal_the_published_ones_under_any_total_variance(
    name: str, solver: Solver, variance: str
) -> None:
    schedule = spanning(OTFlow()).with_tv(variance)
    grid, x = TimeGrid.uniform(schedule, 6, to_data=False), normal(20, 27)
    taus = schedule.coefficients(schedule.t_of_lam(doubles(grid.lam[0], grid.lam[-1]))).tau
    raw = published(name, schedule, grid, taus[0] * x) / taus[1]
    torch.testing.assert_close(solver.solve(MOL27.denoise, x, grid), raw, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [Euler, Heun, RK45])
def test_raw_solvers_see_the_total_variance(kind: type[Euler]) -> None:
    schedule = spanning(OTFlow())
    grid, x = TimeGrid.uniform(schedule, 8, to_data=False), normal(50, 27)
    ends = [
        tensor(kind(schedule.with_tv(variance)).solve(MOL27.denoise, x, grid))
        for variance in ("const", "ot", "ve")
    ]
    for other in ends[1:]:
        assert (ends[0] - other).abs().max() > 0.03


@pytest.mark.parametrize("schedule", [Sigma(), spanning(OTFlow())], ids=["edm", "otflow"])
@pytest.mark.parametrize("to_data", [True, False])
def test_euler_is_exact_where_the_frame_is_straight(schedule: Schedule, to_data: bool) -> None:
    grid, x = TimeGrid.karras(0.002, 30.0, 7.0, 8, to_data=to_data), normal(50, 27)
    euler = Euler(schedule).solve(MOL27.denoise, x, grid)
    torch.testing.assert_close(euler, DDIM().solve(MOL27.denoise, x, grid), rtol=0, atol=1e-12)


@given(
    st.sampled_from([ISSNR(), Cosine(), Polynomial(), Geometric()]), shares, st.floats(0.01, 0.9)
)
def test_euler_inflates_the_variance_by_the_squared_angle(
    schedule: Schedule, share: float, fraction: float
) -> None:
    t = time_at(schedule, share)
    s = t - fraction * (t - schedule.t_min)
    c = schedule.coefficients(t)
    grid = TimeGrid((float(c.lam), float(schedule.lam(s))))
    x0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    landed = tensor(Euler(schedule).solve(lambda *_: x0, torch.stack([c.a, c.b])[None], grid))
    turn = (s - t) * -c.dlam * c.a * c.b
    torch.testing.assert_close(landed.square().sum(), 1 + turn**2, rtol=1e-8, atol=1e-10)


# ----------------------------------------------------------------------------- weights


@given(st.integers(1, 4), st.floats(-40, 40))
def test_phi_functions_are_their_integrals(k: int, z: float) -> None:
    power = math.factorial(k - 1)
    value, _ = quad(
        lambda s: math.exp((1 - s) * z - max(z, 0)) * s ** (k - 1) / power, 0, 1, epsabs=1e-15
    )
    scaled = float(phi(k, torch.tensor(z, dtype=torch.float64))) * math.exp(-max(z, 0))
    assert scaled == pytest.approx(value, rel=1e-11, abs=1e-14)


@few
@given(
    st.sampled_from([-1.0, 1.0]),
    st.floats(0.05, 5),
    st.lists(st.floats(0.1, 3), min_size=1, max_size=2),
    st.booleans(),
)
def test_weights_integrate_polynomials_exactly(
    sign: float, h: float, gaps: list[float], corrector: bool
) -> None:
    nodes = [h] * corrector + [-sum(gaps[: i + 1]) for i in range(len(gaps))]
    tensors = [torch.tensor(node, dtype=torch.float64) for node in nodes]
    weights = Exponential(sign)(tensors, torch.tensor(h, dtype=torch.float64))
    density = lambda u: math.exp(-sign * u - h * (sign < 0))  # noqa: E731
    total, _ = quad(density, 0, h)
    for power in range(1, len(nodes) + 1):
        mean, _ = quad(lambda u, p=power: u**p * density(u) / total, 0, h)
        found = sum(float(w) * node**power for w, node in zip(weights, nodes, strict=True))
        assert found == pytest.approx(mean, rel=1e-9, abs=1e-11)


# ----------------------------------------------------------------------------- convergence


def preset(n_steps: int) -> TimeGrid:
    return TimeGrid.log_snr(0.05, 20.0, n_steps, to_data=False)


N_ENDS = 8


@pytest.fixture(scope="module")
def exact_ends() -> dict[int, Tensor]:
    """Ends of the exact flow by dimension of the data."""
    fine = RK45(OTFlow(), lower_order_final=False)
    return {
        data.dim: tensor(fine.solve(data.denoise, normal(N_ENDS, data.dim), preset(80)))
        for data in (toy2(), bell())
    }


def order(solver: Solver, data: Mixture, steps: tuple[int, int], exact: Tensor) -> float:
    """Slope of the endpoint error over step counts, in logarithms."""
    x = normal(N_ENDS, data.dim)
    errors = [
        (tensor(solver.solve(data.denoise, x, preset(n), noise=lambda _: x)) - exact).norm()
        for n in steps
    ]
    return math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0])


@pytest.mark.parametrize(
    ("solver", "data", "least"),
    [
        (DDIM(), bell(), 0.9),
        (Euler(ISSNR(1.5, 1.0)), bell(), 0.9),
        (EVODiff(), toy2(), 0.9),
        (DPMpp2M(lower_order_final=False), toy2(), 1.8),
        (DPMpp2MSDE(lower_order_final=False, rho=0.0), toy2(), 1.8),
        (ExpMultistep(2, "x0", lower_order_final=False), toy2(), 1.8),
        (ExpMultistep(2, "eps", lower_order_final=False), toy2(), 1.8),
        (PLMS(lower_order_final=False), toy2(), 1.8),
        (UniPC2(lower_order_final=False), toy2(), 1.8),
        (Heun(OTFlow()), toy2(), 1.8),
        (Heun(ISSNR(1.5, 1.0)), toy2(), 1.8),
        (EDMChurn(churn=0.0), toy2(), 1.8),
        (ExpMultistep(3, "x0", lower_order_final=False), toy2(), 2.7),
        (ExpMultistep(3, "eps", lower_order_final=False), toy2(), 2.7),
        (UniPC3(lower_order_final=False), toy2(), 2.7),
    ],
)
def test_order_of_convergence(
    solver: Solver, data: Mixture, least: float, exact_ends: dict[int, Tensor]
) -> None:
    assert order(solver, data, (50, 150), exact_ends[data.dim]) >= least
    assert solver.order == round(least + 0.01)


@pytest.mark.parametrize("schedule", [OTFlow(), ISSNR(1.5, 1.0)])
def test_runge_kutta_converges_at_order_five(
    schedule: Schedule, exact_ends: dict[int, Tensor]
) -> None:
    solver = RK45(schedule, lower_order_final=False)
    assert order(solver, toy2(), (16, 48), exact_ends[2]) >= 4.5


@pytest.mark.parametrize("solver", [DDIM(), DPMpp2M(False), UniPC2(False), Heun(OTFlow())])
def test_gaussian_data_keep_their_exact_spread(solver: Solver) -> None:
    data, grid = bell(), preset(160)
    a, b = unit_tv(doubles(grid.lam[0], grid.lam[-1]))
    deviation = (a**2 * data.deviations**2 + b**2).sqrt()
    end = solver.solve(data.denoise, deviation[:1, None], grid)
    torch.testing.assert_close(end, deviation[1:, None], rtol=0, atol=1e-2)


# ----------------------------------------------------------------------------- noise


def basis(n_steps: int) -> tuple[Tensor, list[Tensor]]:
    """Orthonormal vectors for the start and each step's noise: squared norms are variances."""
    columns = torch.eye(n_steps + 1, dtype=torch.float64)
    return columns[:1], list(columns[1:, None])


@few
@given(st.floats(0, 2), st.integers(1, 6), st.floats(0.05, 2))
def test_exact_steps_have_the_variance_of_the_linear_denoiser(
    rho: float, n_steps: int, spread: float
) -> None:
    """``var_s = (a_s k + b_s r^rho^2 (1 - a_t k) / b_t)^2 var_t + b_s^2 (1 - r^(2 rho^2))``."""
    grid, (x, z) = TimeGrid.log_snr(0.1, 10.0, n_steps, to_data=False), basis(n_steps)

    def gain(lam: Tensor) -> Tensor:
        a, b = unit_tv(lam)
        return a * spread**2 / (a**2 * spread**2 + b**2)

    end = Ancestral(rho).solve(
        lambda state, lam: gain(lam) * tensor(state), x, grid, noise=lambda i: z[i]
    )
    lam, variance = doubles(*grid.lam), torch.ones((), dtype=torch.float64)
    a, b = unit_tv(lam)
    for t in range(n_steps):
        s, k, r = t + 1, gain(lam[t]), torch.exp(lam[t] - lam[t + 1])
        kept = a[s] * k + b[s] * r ** (rho**2) * (1 - a[t] * k) / b[t]
        variance = kept**2 * variance + b[s] ** 2 * (1 - r ** (2 * rho**2))
    torch.testing.assert_close(tensor(end).square().sum(), variance, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0, math.inf])
def test_stochastic_steps_keep_exact_marginals(rho: float) -> None:
    """With draws of the posterior as predictions, every step count gives the exact spread."""
    grid, n, spread = TimeGrid.log_snr(0.1, 10.0, 3, to_data=False), 40_000, 0.5
    generator = torch.Generator().manual_seed(0)
    draw = lambda *_: torch.randn(n, 1, generator=generator, dtype=torch.float64)  # noqa: E731

    def posterior_draw(x: State, lam: Tensor) -> State:
        a, b = unit_tv(lam)
        variance = a**2 * spread**2 + b**2
        return a * spread**2 / variance * tensor(x) + spread * b / variance.sqrt() * draw()

    a, b = unit_tv(doubles(grid.lam[0], grid.lam[-1]))
    deviation = (a**2 * spread**2 + b**2).sqrt()
    end = tensor(Ancestral(rho).solve(posterior_draw, deviation[0] * draw(), grid, noise=draw))
    assert abs(float(end.std() / deviation[1]) - 1) < 0.02
    assert abs(float(end.mean() / deviation[1])) < 0.025


@few
@given(st.floats(-4, 3), st.floats(0.05, 4), st.integers(0, 99))
def test_rho_one_is_the_ddpm_posterior(lam: float, h: float, seed: int) -> None:
    x, x0, z = (normal(3, 4, seed + i) for i in range(3))
    (a, a_s), (b, b_s) = unit_tv(doubles(lam, lam + h))
    ratio = a / a_s
    left = b**2 - ratio**2 * b_s**2
    mean = ratio * b_s**2 / b**2 * x + a_s * left / b**2 * x0
    end = Ancestral(1.0).solve(lambda *_: x0, x, TimeGrid((lam, lam + h)), noise=lambda _: z)
    expected = mean + (left * b_s**2 / b**2).sqrt() * z
    torch.testing.assert_close(end, expected, rtol=2e-13, atol=2e-13)


def test_noise_knobs_depart_from_the_exact_step_as_documented() -> None:
    x, x0, z, grid = normal(3, 4), normal(3, 4, 1), normal(3, 4, 2), TimeGrid((-0.5, 0.75))
    (a, a_s), (b, b_s) = unit_tv(doubles(*grid.lam))
    eps, r = (x - a * x0) / b, math.exp(-1.25)

    def step(solver: Solver) -> State:
        return solver.solve(lambda *_: x0, x, grid, noise=lambda _: z)

    decayed = a_s * x0 + a_s * b / a * r**2 * eps
    torch.testing.assert_close(step(Ancestral(0.0, noise_decay=2.0)), decayed)
    louder = a_s * x0 + b_s * (r * eps + 1.5 * math.sqrt(1 - r**2) * z)
    torch.testing.assert_close(step(Ancestral(1.0, s_noise=1.5)), louder)


@few
@given(st.integers(0, 99), st.integers(1, 8))
def test_stochastic_solvers_without_strength_are_deterministic_ones(seed: int, n: int) -> None:
    grid, x, denoise = TimeGrid.uniform(OTFlow(), n), normal(5, 2, seed), toy2().denoise
    noise = lambda i: normal(5, 2, i)  # noqa: E731
    still = Ancestral(0.0).solve(denoise, x, grid, noise=noise)
    assert torch.equal(tensor(still), tensor(DDIM().solve(denoise, x, grid)))
    smooth = DPMpp2MSDE(rho=0.0).solve(denoise, x, grid, noise=noise)
    assert torch.equal(tensor(smooth), tensor(DPMpp2M().solve(denoise, x, grid)))


def test_edm_sampler_without_churn_is_heun_in_sigma() -> None:
    grid, x = TimeGrid.karras(0.002, 30.0, 7.0, 6), normal(20, 27)
    heun = Heun(Sigma()).solve(MOL27.denoise, x, grid)
    churned = EDMChurn(churn=0.0).solve(MOL27.denoise, x, grid)
    torch.testing.assert_close(churned, heun, rtol=1e-9, atol=1e-9)


@few
@given(st.floats(0, 100), st.integers(1, 6))
def test_churn_keeps_the_noise_at_its_level(churn: float, n_steps: int) -> None:
    """Data at the origin: all that is left is noise, whose variance the last level says."""
    grid, (x, z) = TimeGrid.log_snr(0.1, 10.0, n_steps, to_data=False), basis(n_steps)
    b = unit_tv(doubles(grid.lam[0], grid.lam[-1]))[1]
    end = EDMChurn(churn).solve(
        lambda state, _: torch.zeros_like(tensor(state)), b[0] * x, grid, noise=lambda i: z[i]
    )
    torch.testing.assert_close(tensor(end).norm(), b[1], rtol=1e-12, atol=0)
