"""Levels that differ by modality, by row and along clocks, through every solver."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import OTFlow, State, TimeGrid, unit_tv
from molgen.flow.extra.clocks import pyramid
from molgen.flow.solvers import (
    DDIM,
    RK45,
    SOLVERS,
    DPMpp2M,
    EDMChurn,
    Euler,
    ExpMultistep,
    Heun,
    LinearMultistep,
    Rule,
    Solver,
    Stepwise,
    UniPC2,
    UniPC3,
    solver_named,
)
from molgen.flow.state import Lead, expand_like, level

from .mixtures import normal, toy2

N_STEPS = 6
GRID = TimeGrid.uniform(OTFlow(0.01, 0.98), N_STEPS)
OPEN = TimeGrid(GRID.lam[:-1])
BATCH, ROWS = 3, 5
ALL: list[Solver] = [
    *(solver_named(name, rho=0.7) for name in [*SOLVERS, "evodiff"]),
    Stepwise((Rule(1, "x0"), Rule(2, "eps"), Rule(3), Rule(2), Rule(3, "eps"), Rule(1))),
    LinearMultistep(((1.0,), *((1.4, -0.4),) * (N_STEPS - 1))),
]
every_solver = pytest.mark.parametrize("solver", ALL, ids=lambda solver: solver.name)


def noise(step: int) -> Tensor:
    return normal(BATCH * ROWS, 2, 50 + step).reshape(BATCH, ROWS, 2)


class Denoise:
    """Exact mixture denoiser that knows the level of every row, each row for itself."""

    def __init__(self, lead: Lead = 0.0) -> None:
        self.lead, self.data = lead, toy2()

    def __call__(self, x: State, lam: Tensor) -> State:
        assert isinstance(x, Tensor)
        assert x.isfinite().all()
        a, b = (expand_like(each, x) for each in unit_tv(level(self.lead, float(lam))))
        spread = self.data.deviations[0] ** 2
        variance = a**2 * spread + b**2
        away = x[..., None, :] - a[..., None] * self.data.means
        weight = torch.softmax(-0.5 * away.square().sum(-1) / variance, dim=-1)
        means = weight @ self.data.means
        return means + a * spread / variance * (x - a * means)


def run(solver: Solver, lead: Lead, grid: TimeGrid = GRID) -> list[Tensor]:
    """The start and the state after every step."""
    states = [noise(-1)]

    def keep(_: int, state: State) -> None:
        assert isinstance(state, Tensor)
        states.append(state)

    solver.solve(Denoise(lead), states[0], grid, offsets={"": lead}, noise=noise, on_step=keep)
    return states


# ----------------------------------------------------------------------------- equal levels


@every_solver
def test_equal_entries_are_bit_equal_to_a_number(solver: Solver) -> None:
    expected = run(solver, 0.37)
    for shape in ((), (BATCH,), (BATCH, ROWS)):
        entries = torch.full(shape, 0.37, dtype=torch.float64)
        assert all(map(torch.equal, run(solver, entries), expected))
    clocked = run(solver, lambda lam: lam + entries)
    if solver.name == "rk45":  # the slope of a clock is a difference quotient
        torch.testing.assert_close(clocked[-1], expected[-1], rtol=1e-8, atol=1e-8)
    else:
        assert all(map(torch.equal, clocked, expected))


@every_solver
def test_rows_keep_their_results_whoever_shares_the_batch(solver: Solver) -> None:
    if solver.name == "evodiff":
        pytest.skip("its weights are inner products over the rows of a molecule")
    leads = torch.linspace(-0.6, 1.1, ROWS, dtype=torch.float64)
    together = run(solver, leads.expand(BATCH, ROWS))
    for row in range(ROWS):
        alone = run(solver, float(leads[row]))
        assert torch.equal(together[-1][:, row], alone[-1][:, row])


def test_a_lead_is_the_same_as_a_shifted_grid() -> None:
    """But for rk45, whose stages lie in the main level's time, and edm-churn's range."""
    lead, shifted = 0.7, TimeGrid(tuple(value + 0.7 for value in GRID.lam))
    usual = [solver for solver in ALL if solver.name not in {"rk45", "edm-churn"}]
    for solver in [*usual, EDMChurn(s_min=0.0, s_max=math.inf)]:
        led, moved = run(solver, lead)[-1], run(solver, 0.0, shifted)[-1]
        torch.testing.assert_close(led, moved, rtol=0, atol=1e-9, msg=solver.name)


def test_modalities_do_not_disturb_each_other() -> None:
    x, leads = normal(20, 2), {"elements": 0.7}

    def both(state: State, lam: Tensor) -> State:
        assert isinstance(state, dict)
        first = Denoise(0.7)(state["elements"], lam)
        return {"elements": first, "pos": Denoise()(state["pos"], lam)}

    for solver in ALL:
        fresh = lambda step: {"elements": normal(20, 2, step), "pos": normal(20, 2, step)}  # noqa: E731
        end = solver.solve(both, {"elements": x, "pos": x}, GRID, offsets=leads, noise=fresh)
        assert isinstance(end, dict)
        for name, lead in (("elements", 0.7), ("pos", 0.0)):
            alone = solver.solve(
                Denoise(lead), x, GRID, offsets={"": lead}, noise=lambda step: normal(20, 2, step)
            )
            assert torch.equal(end[name], alone)


# ----------------------------------------------------------------------------- rows at rest


def test_clean_is_clean_at_pure_noise_too() -> None:
    for lead in (math.inf, torch.tensor(math.inf)):
        assert level(lead, -math.inf) == math.inf


@every_solver
def test_clean_rows_stay_as_they_are(solver: Solver) -> None:
    lead = torch.zeros(BATCH, ROWS, dtype=torch.float64)
    lead[:, 1] = math.inf
    lead[2] = math.inf
    for grid in (GRID, OPEN):
        if solver.min_steps > grid.n_steps:
            continue
        states = run(solver, lead, grid)
        free = run(solver, 0.0, grid)
        for state in states:
            assert torch.equal(state[lead.isinf()], states[0][lead.isinf()])
        if solver.name != "evodiff":
            assert torch.equal(states[-1][lead.isfinite()], free[-1][lead.isfinite()])
        assert states[-1].isfinite().all()


LAG_GRID, LAGGING = pyramid(GRID, torch.tensor([[0, 0, 1, 2, 2]] * BATCH), 1.0)


def lengthened(solver: Solver) -> Solver:
    """The solver for the steps of the pyramid."""
    if isinstance(solver, Stepwise):
        return Stepwise((*solver.rules, *solver.rules)[: LAG_GRID.n_steps])
    if isinstance(solver, LinearMultistep):
        return LinearMultistep((*solver.weights, *solver.weights[-2:]))
    return solver


@every_solver
def test_rows_move_only_while_their_clock_does(solver: Solver) -> None:
    assert LAG_GRID.n_steps == N_STEPS + 2
    states, rested = run(lengthened(solver), LAGGING, LAG_GRID), 0
    for (before, after), (low, high) in zip(pairwise(states), pairwise(LAG_GRID.lam), strict=True):
        rests = LAGGING(low) == LAGGING(high)
        rested += int(rests.sum())
        assert torch.equal(after[rests], before[rests])
        assert (after[~rests] != before[~rests]).any(-1).all()
    assert rested == BATCH * ROWS * 2
    assert states[-1].isfinite().all()


@pytest.mark.parametrize(
    "solver",
    [
        Euler(OTFlow()),
        Heun(OTFlow()),
        DDIM(),
        DPMpp2M(lower_order_final=False),
        ExpMultistep(2, "eps", lower_order_final=False),
        ExpMultistep(3, "x0", lower_order_final=False),
        UniPC2(lower_order_final=False),
        UniPC3(lower_order_final=False),
        EDMChurn(churn=0.0),
    ],
    ids=lambda solver: solver.name,
)
def test_rows_that_start_later_take_the_same_steps(solver: Solver) -> None:
    """A late row has no history at first and must not make one up from its time at rest."""
    late, alone = run(solver, LAGGING, LAG_GRID)[-1], run(solver, 0.0)[-1]
    torch.testing.assert_close(late, alone, rtol=0, atol=1e-9)


def test_runge_kutta_keeps_its_order_along_leads_and_clocks() -> None:
    clock = lambda lam: torch.tensor([lam + 0.4 * math.sin(lam)], dtype=torch.float64)  # noqa: E731
    for lead in (torch.tensor([0.8], dtype=torch.float64), clock):

        def end(n_steps: int, lead: Lead = lead) -> Tensor:
            solver = RK45(OTFlow(), lower_order_final=False)
            grid = TimeGrid.log_snr(0.05, 20.0, n_steps, to_data=False)
            state = solver.solve(Denoise(lead), normal(1, 2), grid, offsets={"": lead})
            assert isinstance(state, Tensor)
            return state

        exact = end(48)
        coarse, fine = ((end(n) - exact).norm() for n in (12, 24))
        assert math.log2(coarse / fine) >= 4.5


# ----------------------------------------------------------------------------- what leads buy


def consistency(lead: float, n_steps: int, schedule: OTFlow) -> float:
    """Share of samples whose position is the one of their class, of sixteen."""
    classes, spread, n = 16, 0.05, 4000
    places = normal(classes, 6, seed=3)
    codes = torch.eye(classes, dtype=torch.float64) * 4 - 4 / classes

    def denoise(state: State, lam: Tensor) -> State:
        assert isinstance(state, dict)
        (a, b), (c, d) = unit_tv(lam + lead), unit_tv(lam)
        variance = c**2 * spread**2 + d**2
        away = state["pos"][:, None] - c * places
        distance = (state["elements"][:, None] - a * codes).square().sum(-1) / b**2
        weight = torch.softmax(-0.5 * (distance + away.square().sum(-1) / variance), dim=1)
        guess = places + c * spread**2 / variance * away
        return {"elements": weight @ codes, "pos": (weight[..., None] * guess).sum(1)}

    start: State = {"elements": normal(n, classes), "pos": normal(n, 6, seed=1)}
    grid = TimeGrid.uniform(schedule, n_steps)
    end = DDIM().solve(denoise, start, grid, offsets={"elements": lead})
    assert isinstance(end, dict)
    away = (end["pos"] - places[end["elements"].argmax(1)]) / spread
    return float((away.square().sum(1) < 22.46).double().mean())  # 99.9 % of chi2 with 6 dof


def test_leading_elements_make_three_calls_consistent() -> None:
    assert consistency(0.0, 3, OTFlow()) <= 0.93
    assert consistency(2.5, 3, OTFlow()) >= 0.99


def test_a_lead_cannot_hold_rows_at_pure_noise() -> None:
    x = torch.zeros(2, 3)
    grid = TimeGrid((-1.0, 1.0))
    with pytest.raises(UsageError, match="stay pure noise"):
        DDIM().solve(lambda state, _: state, x, grid, offsets={"": torch.tensor([0.0, -torch.inf])})
