"""Solvers: invariances, identities, orders of convergence, few-step quality, modalities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import (
    DDIM,
    ISSNR,
    SOLVERS,
    Ancestral,
    Cosine,
    DPMpp2M,
    Euler,
    Heun,
    OTFlow,
    Polynomial,
    Schedule,
    Solver,
    SolverOptions,
    State,
    TimeGrid,
    UniPC2,
    solver_named,
    unit_tv,
)

from .mixtures import Mixture, bell, mol27, sliced_w2, toy2
from .schedules_under_test import Geometric, Sigma, schedules, shares, spanning, time_at

MOL27 = mol27()
DETERMINISTIC = [DDIM(), DPMpp2M(), UniPC2(), Euler(OTFlow()), Heun(OTFlow())]


def start(n: int, dim: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64)


# ----------------------------------------------------------------------------- total variance


@given(schedules, shares, shares, st.integers(0, 99))
def test_exact_step_is_the_same_in_every_frame(
    schedule: Schedule, first: float, second: float, seed: int
) -> None:
    late, early = sorted((first, second), reverse=True)
    t, s = (schedule.coefficients(time_at(schedule, share)) for share in (late, early))
    if not t.lam < s.lam:
        return
    x0, eps = start(4, 3, seed), start(4, 3, seed + 100)
    grid = TimeGrid((float(t.lam), float(s.lam)))
    landed = DDIM().solve(lambda *_: x0, (t.a * x0 + t.b * eps) / t.tau, grid)
    torch.testing.assert_close(landed * s.tau, s.a * x0 + s.b * eps, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [Euler, Heun])
def test_raw_solvers_see_the_total_variance(kind: type[Euler]) -> None:
    schedule = spanning(OTFlow())
    grid, x = TimeGrid.uniform(schedule, 8, to_data=False), start(50, 27)
    ends = [
        kind(schedule.with_tv(variance)).solve(MOL27.denoise, x, grid)
        for variance in ("const", "ot", "ve")
    ]
    assert all(isinstance(end, Tensor) for end in ends)
    for other in ends[1:]:
        assert (ends[0] - other).abs().max() > 0.03


@pytest.mark.parametrize("schedule", [Sigma(), spanning(OTFlow())], ids=["edm", "otflow"])
@pytest.mark.parametrize("to_data", [True, False])
def test_euler_is_exact_where_the_frame_is_straight(schedule: Schedule, to_data: bool) -> None:
    grid, x = TimeGrid.karras(0.002, 30.0, 7.0, 8, to_data=to_data), start(50, 27)
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
    x = torch.stack([c.a, c.b])[None]
    landed = Euler(schedule).solve(lambda *_: x0, x, grid)
    turn = (s - t) * -c.dlam * c.a * c.b
    assert isinstance(landed, Tensor)
    torch.testing.assert_close(landed.square().sum(), 1 + turn**2, rtol=1e-8, atol=1e-10)


# ----------------------------------------------------------------------------- convergence


def order(solver: Solver, mixture: Mixture, steps: tuple[int, ...]) -> float:
    """Slope of the endpoint error over step counts, in logarithms."""
    x = start(100, mixture.dim)
    exact = UniPC2(False).solve(mixture.denoise, x, ladder(1500))
    errors = [
        (solver.solve(mixture.denoise, x, ladder(n)) - exact).square().mean().sqrt() for n in steps
    ]
    return math.log(errors[0] / errors[-1]) / math.log(steps[-1] / steps[0])


def ladder(n_steps: int) -> TimeGrid:
    return TimeGrid.log_snr(0.05, 20.0, n_steps, to_data=False)


@pytest.mark.parametrize(
    ("solver", "data", "least"),
    [
        (DDIM(), bell(), 0.9),
        (Euler(ISSNR(1.5, 1.0)), bell(), 0.9),
        (DPMpp2M(lower_order_final=False), toy2(), 1.8),
        (UniPC2(lower_order_final=False), toy2(), 1.8),
        (Heun(OTFlow()), toy2(), 1.8),
        (Heun(ISSNR(1.5, 1.0)), toy2(), 1.8),
    ],
)
def test_order_of_convergence(solver: Solver, data: Mixture, least: float) -> None:
    assert order(solver, data, (80, 320)) >= least
    assert solver.order == round(least)


@pytest.mark.parametrize("solver", [DDIM(), DPMpp2M(False), UniPC2(False), Heun(OTFlow())])
def test_gaussian_data_keep_their_exact_spread(solver: Solver) -> None:
    data, grid = bell(), ladder(320)
    a, b = unit_tv(torch.tensor([grid.lam[0], grid.lam[-1]]))
    deviation = (a**2 * data.deviations**2 + b**2).sqrt()
    end = solver.solve(data.denoise, deviation[:1, None], grid)
    torch.testing.assert_close(end, deviation[1:, None], rtol=0, atol=5e-3)


@given(st.floats(0, 2))
def test_stochastic_steps_keep_exact_marginals(rho: float) -> None:
    """With draws of the posterior as predictions, every step count gives the exact spread."""
    grid, n = TimeGrid.log_snr(0.1, 10.0, 3, to_data=False), 40_000
    generator = torch.Generator().manual_seed(0)
    normal = lambda *_: torch.randn(n, 1, generator=generator, dtype=torch.float64)  # noqa: E731
    spread = 0.5

    def posterior_draw(x: State, lam: Tensor) -> State:
        a, b = unit_tv(lam)
        variance = a**2 * spread**2 + b**2
        return a * spread**2 / variance * x + spread * b / variance.sqrt() * normal()

    a, b = unit_tv(torch.tensor([grid.lam[0], grid.lam[-1]]))
    deviation = (a**2 * spread**2 + b**2).sqrt()
    solver = Ancestral(rho)
    end = solver.solve(posterior_draw, deviation[0] * normal(), grid, noise=normal)
    assert isinstance(end, Tensor)
    assert abs(float(end.std() / deviation[1]) - 1) < 0.02
    assert abs(float(end.mean() / deviation[1])) < 0.025


# ----------------------------------------------------------------------------- few steps


@pytest.fixture(scope="module")
def data() -> Tensor:
    return MOL27.sample(4000, torch.Generator().manual_seed(1))


def quality(solver: Solver, grid: TimeGrid, data: Tensor) -> tuple[float, float]:
    """Sliced W2 to the data (two data samples: about 0.04) and stability."""
    x = solver.solve(MOL27.denoise, start(len(data), MOL27.dim), grid)
    assert isinstance(x, Tensor)
    return sliced_w2(x, data), MOL27.stability(x)


@pytest.mark.parametrize(
    ("solver", "n_steps", "largest_w2", "least_stable"),
    [
        (UniPC2(), 5, 0.07, 0.98),
        (DPMpp2M(), 5, 0.09, 0.98),
        (DDIM(), 5, 0.14, 0.98),
        (UniPC2(), 4, 0.09, 0.95),
        (UniPC2(), 9, 0.06, 0.99),
    ],
)
def test_few_steps_on_the_straight_schedule(
    solver: Solver, n_steps: int, largest_w2: float, least_stable: float, data: Tensor
) -> None:
    distance, stable = quality(solver, TimeGrid.uniform(spanning(OTFlow()), n_steps), data)
    assert distance <= largest_w2
    assert stable >= least_stable


def test_constant_variance_rescues_the_exploding_schedule(data: Tensor) -> None:
    grid = TimeGrid.uniform(Geometric(), 5, to_data=False)
    exploding, _ = quality(Euler(Geometric().with_tv("ve")), grid, data)
    constant, _ = quality(Euler(Geometric()), grid, data)
    assert exploding > 1
    assert constant < 0.3


def test_corrector_pays_on_a_poor_grid(data: Tensor) -> None:
    grid = TimeGrid.log_snr(0.002, 30.0, 5)
    (plain, fragile), (corrected, sturdy) = (
        quality(solver, grid, data) for solver in (DPMpp2M(), UniPC2())
    )
    assert corrected <= plain
    assert sturdy >= fragile + 0.2


def test_second_order_last_step_costs_quality(data: Tensor) -> None:
    grid = TimeGrid.uniform(spanning(OTFlow()), 5, to_data=False)
    first, _ = quality(DPMpp2M(lower_order_final=True), grid, data)
    second, _ = quality(DPMpp2M(lower_order_final=False), grid, data)
    assert first < second


# ----------------------------------------------------------------------------- modalities


def test_a_lead_is_the_same_as_a_shifted_grid() -> None:
    x, mixture = start(30, 2), toy2()
    grid, lead = TimeGrid.uniform(OTFlow(0.01, 0.98), 6, to_data=False), 0.7
    shifted = TimeGrid(tuple(level + lead for level in grid.lam))

    def denoise(state: State, lam: Tensor) -> State:
        assert isinstance(state, dict)
        first = mixture.denoise(state["elements"], lam + lead)
        return {"elements": first, "pos": mixture.denoise(state["pos"], lam)}

    for solver in DETERMINISTIC:
        both = solver.solve(denoise, {"elements": x, "pos": x}, grid, offsets={"elements": lead})
        assert isinstance(both, dict)
        alone = solver.solve(mixture.denoise, x, shifted)
        torch.testing.assert_close(both["elements"], alone, rtol=0, atol=1e-9)
        assert torch.equal(both["pos"], solver.solve(mixture.denoise, x, grid))


def test_leading_elements_make_few_steps_consistent() -> None:
    """Sixteen classes, each with its own position: the class must agree with the position."""
    classes, spread, n = 16, 0.05, 4000
    places = start(classes, 6, seed=3)
    codes = torch.eye(classes, dtype=torch.float64) * 4 - 4 / classes

    def consistency(lead: float) -> float:
        def denoise(state: State, lam: Tensor) -> State:
            assert isinstance(state, dict)
            (a, b), (c, d) = unit_tv(lam + lead), unit_tv(lam)
            variance = c**2 * spread**2 + d**2
            away = state["pos"][:, None] - c * places
            distance = (state["elements"][:, None] - a * codes).square().sum(-1) / b**2
            weight = torch.softmax(-0.5 * (distance + away.square().sum(-1) / variance), dim=1)
            guess = places + c * spread**2 / variance * away
            return {"elements": weight @ codes, "pos": (weight[..., None] * guess).sum(1)}

        noise: State = {"elements": start(n, classes), "pos": start(n, 6, seed=1)}
        end = DDIM().solve(
            denoise, noise, TimeGrid.uniform(OTFlow(), 3), offsets={"elements": lead}
        )
        assert isinstance(end, dict)
        away = (end["pos"] - places[end["elements"].argmax(1)]) / spread
        return float((away.square().sum(1) < 22.46).double().mean())  # 99.9 % of chi2 with 6 dof

    assert consistency(0.0) <= 0.93
    assert consistency(2.5) >= 0.99


# ----------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_every_solver_by_name(name: str, n_steps: int) -> None:
    solver, calls, seen = solver_named(name, SolverOptions(OTFlow(), 0.5)), [], []
    x = start(8, 2).float()
    before = x.clone()

    def denoise(state: State, lam: Tensor) -> State:
        assert lam.dtype == torch.float64
        assert lam.shape == ()
        assert isinstance(state, Tensor)
        calls.append(toy2().denoise(state, lam).float())
        return calls[-1]

    end = solver.solve(
        denoise,
        x,
        TimeGrid.uniform(OTFlow(), n_steps),
        noise=lambda step: start(8, 2, seed=step).float(),
        on_step=lambda step, _: seen.append(step),
    )
    assert len(calls) == solver.nfe(n_steps)
    assert seen == list(range(n_steps))
    assert isinstance(end, Tensor)
    assert torch.equal(end, calls[-1])
    assert torch.equal(x, before)
    assert x.dtype == torch.float32


@given(st.integers(0, 99), st.integers(1, 8))
def test_stochastic_solver_without_noise_is_ddim(seed: int, n_steps: int) -> None:
    grid, x = TimeGrid.uniform(OTFlow(), n_steps), start(5, 2, seed)
    still = Ancestral(0.0).solve(toy2().denoise, x, grid, noise=lambda i: start(5, 2, i))
    assert torch.equal(still, DDIM().solve(toy2().denoise, x, grid))


def test_bad_requests_are_usage_errors() -> None:
    x, mixture = start(3, 2), toy2()
    grid = TimeGrid.uniform(OTFlow(), 3)
    with pytest.raises(UsageError, match='Did you mean "unipc2"'):
        solver_named("unipc")
    with pytest.raises(UsageError, match="Pass noise="):
        Ancestral(1.0).solve(mixture.denoise, x, grid)
    with pytest.raises(UsageError, match="rho of 0 or more"):
        Ancestral(-1.0)
    with pytest.raises(UsageError, match="unknown modality 'bonds'"):
        DDIM().solve(mixture.denoise, x, grid, offsets={"bonds": 1.0})
    steep = TimeGrid.log_snr(0.0001, 10.0, 3, to_data=False)
    with pytest.raises(UsageError, match="does not reach"):
        Euler(Polynomial()).solve(mixture.denoise, x, steep)


@pytest.mark.parametrize("name", SOLVERS)
def test_levels_follow_the_state_to_its_device(name: str) -> None:
    """The meta device refuses to mix with the CPU, just as an accelerator does."""
    x = torch.empty(2, 3, 3, device="meta")
    solver = solver_named(name)
    grid = TimeGrid.uniform(OTFlow(), 4, to_data=False)
    end = solver.solve(lambda state, _: torch.empty_like(state), x, grid, noise=lambda _: x)
    assert end.device == x.device
    assert end.dtype == x.dtype
