"""Fits: monotone grids, teachers, and gains over plain solvers where the score is exact."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.config import Config
from molgen.errors import UsageError
from molgen.flow import DDIM, DPMpp2M, OTFlow, TimeGrid, UniPC2, solver_named
from molgen.flow.fit import (
    Effort,
    Problem,
    endpoint_score,
    first_guesses,
    fit_grid,
    fit_solver,
    mmse_curve,
    search_grid,
    search_plan,
    successive_halving,
    teach,
)
from molgen.flow.fit.grid import Warp
from molgen.flow.fit.plan import exchange_rules, rules_of
from molgen.flow.fit.trajectories import refine, rmse
from molgen.flow.plan import Plan
from molgen.flow.solvers import Ancestral, Stepwise
from molgen.flow.state import State
from molgen.models.info import ModelInfo, SamplingPreset
from molgen.sampling.plan import default_plan

from .mixtures import Mixture, bell, mol27, sliced_w2, toy2

QUICK = Effort(n_finalists=1, n_grid=12, n_rules=12)


def normal(n: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64)


def problem(mixture: Mixture, n: int, seed: int) -> Problem:
    return Problem.of(mixture.denoise, normal(n, mixture.dim, seed))


def sample_of(mixture: Mixture, n: int) -> Tensor:
    return mixture.sample(n, torch.Generator().manual_seed(7))


finite = st.lists(st.floats(-4, 6), min_size=2, max_size=12, unique=True).map(sorted)


@given(finite, st.booleans(), st.booleans(), st.integers(1, 6), st.data())
def test_warped_grids_keep_their_ends_and_their_order(
    levels: list[float], from_noise: bool, to_data: bool, n_knots: int, data: st.DataObject
) -> None:
    if min(high - low for low, high in itertools.pairwise(levels)) < 1e-3:
        return
    lam = ((-math.inf,) * from_noise, tuple(levels), (math.inf,) * to_data)
    guess = TimeGrid(tuple(itertools.chain(*lam)))
    warp = Warp(guess, n_knots)
    theta = data.draw(st.lists(st.floats(-9, 9), min_size=warp.size, max_size=warp.size))
    grid = warp.grid(np.array(theta))
    assert grid.n_steps == guess.n_steps
    assert grid.lam[0] == guess.lam[0]
    assert grid.lam[-1] == pytest.approx(guess.lam[-1])
    assert warp.grid(np.zeros(warp.size)).lam == pytest.approx(guess.lam)


@pytest.mark.parametrize("levels", [(-2.0, 0.5, math.inf), (-math.inf, 0.0, 1.0), (-1.0, math.inf)])
def test_refined_grids_pass_the_coarse_levels(levels: tuple[float, ...]) -> None:
    fine = refine(TimeGrid(levels), 8)
    assert set(levels) <= set(fine.lam)
    assert fine.n_steps >= 8 * (len(levels) - 1)


@pytest.mark.parametrize("first", [-math.inf, -2.0])
def test_the_teacher_follows_the_exact_flow(first: float) -> None:
    batch = problem(bell(), 16, 0)
    grid = TimeGrid((first, -0.5, 0.5, 2.0, math.inf))
    taught = teach(batch, grid)
    assert len(taught.states) == len(grid.lam)
    # The flow of one Gaussian of deviation 1/2 scales by the marginal's deviation.
    lam = torch.tensor(grid.lam, dtype=torch.float64)
    deviation = (torch.sigmoid(2 * lam) * 0.25 + torch.sigmoid(-2 * lam)).sqrt()
    for scale, state in zip(deviation / deviation[0], taught.states, strict=True):
        assert torch.allclose(state, scale * batch.start, atol=2e-4)


def test_fitted_levels_bring_unipc_nearer_to_the_data() -> None:
    mixture, guess = mol27(), TimeGrid.log_snr(0.002, 30, 5)
    fitted = fit_grid(problem(mixture, 100, 1), UniPC2(), guess, n_iterations=20)
    # So many that the distance of two samples of the data, 0.04, leaves the gain to be seen.
    fresh, data = problem(mixture, 4000, 2), sample_of(mixture, 4000)
    plain, better = (sliced_w2(fresh.solve(UniPC2(), grid), data) for grid in (guess, fitted))
    assert better <= 0.75 * plain


def test_searched_levels_lower_the_score_they_are_given() -> None:
    batch, guess = problem(toy2(), 32, 1), TimeGrid.log_snr(0.002, 30, 4)
    score = endpoint_score(batch, DDIM(), teach(batch, guess).end)
    found = search_grid(score, guess, n_evaluations=30)
    assert score(found) < 0.8 * score(guess)
    assert search_grid(score, guess, n_evaluations=30) == found


def test_one_step_to_data_leaves_no_level_to_fit() -> None:
    batch, guess = problem(toy2(), 8, 1), TimeGrid((-3.0, math.inf))
    assert fit_grid(batch, DDIM(), guess) == guess
    assert search_grid(lambda _: 0.0, guess) == guess


@pytest.mark.parametrize("n_steps", [4, 5, 6])
def test_fitted_solver_beats_unipc_on_its_own_grid(n_steps: int) -> None:
    mixture, grid = mol27(), TimeGrid.uniform(OTFlow(), n_steps)
    solver = fit_solver(problem(mixture, 150, 1), grid)
    few, many = problem(mixture, 200, 2), problem(mixture, 1500, 3)
    end, data = teach(few, grid, n_each=12).end, sample_of(mixture, 1500)
    both = (solver, UniPC2())
    near, far = (rmse(few.solve(one, grid), end) for one in both)
    assert near < 0.85 * far
    fitted, unipc = (sliced_w2(many.solve(one, grid), data) for one in both)
    assert fitted <= unipc
    assert [sum(row) for row in solver.weights] == pytest.approx([1.0] * n_steps)


def test_fitted_solver_steps_exactly_where_predictions_are_constant() -> None:
    target = normal(4, 3, 0)
    batch = Problem.of(lambda *_: target, normal(4, 3, 1))
    grid = TimeGrid((-1.0, 0.0, 1.0, 2.0))
    end = batch.solve(fit_solver(problem(toy2(), 16, 0), grid), grid)
    assert torch.allclose(end, batch.solve(DDIM(), grid))


def test_fits_take_modalities_with_leads_and_padding() -> None:
    mixture, mask = toy2(), torch.tensor([1.0, 1.0, 0.0]).reshape(3, 1)

    def denoise(x: State, lam: Tensor) -> State:
        clean = {name: mixture.denoise(leaf, lam) for name, leaf in x.items()}
        return {name: leaf * mask for name, leaf in clean.items()}

    start = {"pos": normal(3, 2, 0) * mask, "element": normal(3, 2, 1) * mask}
    batch = Problem(lambda: denoise, start, {"element": 1.0})
    grid = TimeGrid.uniform(OTFlow(), 4)
    solver = fit_solver(batch, grid)
    end = batch.solve(solver, fit_grid(batch, solver, grid, n_iterations=2))
    assert all(not leaf[2].any() and leaf[:2].isfinite().all() for leaf in end.values())


def test_every_walk_begins_with_a_denoiser_that_has_seen_nothing() -> None:
    mixture = toy2()

    class Remembering:
        seen = -math.inf

        def __call__(self, x: Tensor, lam: Tensor) -> Tensor:
            assert float(lam) > self.seen
            self.seen = float(lam)
            return mixture.denoise(x, lam)

    batch, grid = Problem(Remembering, normal(8, 2, 0)), TimeGrid.uniform(OTFlow(), 3)
    fit_grid(batch, UniPC2(), grid, n_iterations=2)
    fit_solver(batch, grid)


def test_measured_error_of_a_gaussian_is_the_closed_form() -> None:
    clean, noise = 0.5 * normal(4000, 1, 0), normal(4000, 1, 1)
    lams = [-1.0, 0.0, 1.0, 2.0]
    curve = mmse_curve(lambda: bell().denoise, clean, noise, lams)
    exact = [0.25 / (1 + 0.25 * math.exp(2 * lam)) for lam in lams]
    assert curve.mmse == pytest.approx(exact, rel=0.08)  # 3.5 deviations of a mean of 4000 squares


def test_measured_error_counts_a_leading_modality_by_its_own_signal() -> None:
    clean, noise = 0.5 * normal(64, 1, 0), normal(64, 1, 1)
    ahead = mmse_curve(
        lambda: lambda x, lam: {"": bell().denoise(x[""], lam + 1.0)},
        {"": clean},
        {"": noise},
        [0.0, 1.0],
        offsets={"": 1.0},
    )
    plain = mmse_curve(lambda: bell().denoise, clean, noise, [1.0, 2.0])
    assert ahead.mmse == pytest.approx([math.exp(2) * error for error in plain.mmse])


def test_padding_and_clean_rows_have_no_error() -> None:
    clean, noise = normal(6, 2, 0), normal(6, 2, 1)
    clean[3:], noise[3:] = 0.0, 0.0
    inf = torch.tensor([math.inf, 0, 0, 0, 0, 0])
    guess: Callable[[State, Tensor], State] = lambda x, _: torch.zeros_like(x)  # noqa: E731
    padded = mmse_curve(lambda: guess, clean, noise, [0.0, 1.0])
    assert padded.mmse[0] == pytest.approx(float(clean[:3].square().mean()))
    held = mmse_curve(lambda: guess, clean, noise, [0.0, 1.0], offsets={"": inf})
    assert held.mmse[0] == pytest.approx(float(clean[1:3].square().sum()) / 6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 3))
def test_halving_finds_the_best_of_exact_scores(
    scores: list[float], n_rounds: int, n_last: int
) -> None:
    asked: list[int] = []

    def score(candidate: int, index: int) -> float:
        asked.append(index)
        return scores[candidate]

    best = successive_halving(range(len(scores)), score, n_rounds=n_rounds, n_last=n_last)
    order = sorted(range(len(scores)), key=scores.__getitem__)
    assert best == order[: min(n_last, len(scores))]
    counts = [asked.count(index) for index in range(n_rounds)]
    assert counts[0] == len(scores)
    assert counts == sorted(counts, reverse=True)


def test_halving_lets_later_rounds_decide_and_nan_lose() -> None:
    table = {"a": (0.0, math.nan), "b": (0.1, 0.5), "c": (0.2, 0.4), "d": (0.3, 0.0)}
    ranked = successive_halving("abcd", lambda one, index: table[one][index], n_rounds=2, n_last=2)
    assert ranked == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("ddim", 0),
        ("adams2", 0),
        ("adams3", 0),
        ("adams2-eps", 0),
        ("dpm++2m", 0.1),
        ("unipc2", 0.1),
    ],
)
def test_rules_say_what_a_plain_solver_does(name: str, tolerance: float) -> None:
    plan = Plan(solver_named(name), TimeGrid.uniform(OTFlow(), 6, to_data=False))
    batch = problem(toy2(), 16, 0)
    ends = [batch.solve(one, plan.grid) for one in (Stepwise(rules_of(plan)), plan.solver)]
    assert torch.allclose(*ends, rtol=0, atol=tolerance + 1e-10)


def test_solvers_without_rules_are_left_alone() -> None:
    plan = Plan(Ancestral(0.5), TimeGrid.uniform(OTFlow(), 4))
    assert exchange_rules(plan, lambda _: 0.0, QUICK) == plan


def test_search_is_reproducible_and_beats_what_it_started_from() -> None:
    batches = [problem(toy2(), 32, seed) for seed in range(2)]
    guesses = first_guesses(4, 30.0)[:2]
    found = search_plan(batches, guesses, solvers=(DDIM(), UniPC2()), effort=QUICK)
    assert found == search_plan(batches, guesses, solvers=(DDIM(), UniPC2()), effort=QUICK)
    assert found.nfe == 4
    assert Plan.from_dict(found.to_dict()) == found
    fresh = problem(toy2(), 200, 9)
    end = teach(fresh, guesses[0]).end
    plain = min(rmse(fresh.solve(UniPC2(), grid), end) for grid in guesses)
    assert rmse(fresh.solve(found.solver, found.grid), end) < plain


def test_search_follows_the_score_it_is_given() -> None:
    batches = [problem(toy2(), 4, seed) for seed in range(2)]
    guesses = first_guesses(3, 30.0)

    def score(plan: Plan, batch: int) -> float:
        return abs(plan.grid.lam[1] - 1.0) + (plan.solver != DPMpp2M())

    found = search_plan(batches, guesses, score=score, effort=replace(QUICK, n_grid=40))
    assert found.solver == DPMpp2M()
    assert found.grid.lam[1] == pytest.approx(1.0, abs=0.05)


def test_bad_searches_are_usage_errors() -> None:
    batch, guess = problem(toy2(), 4, 0), TimeGrid((-3.0, math.inf))
    with pytest.raises(UsageError, match="two problems"):
        search_plan([batch], [guess])
    three = Stepwise(rules_of(Plan(DDIM(), TimeGrid((0.0, 1.0, 2.0, 3.0)))))
    with pytest.raises(UsageError, match="no solver can follow"):
        search_plan([batch, batch], [guess], solvers=(three,))


def test_weights_carry_a_fitted_plan_and_what_it_was_chosen_by() -> None:
    grid = TimeGrid.uniform(OTFlow(), 3)
    plan = Plan(fit_solver(problem(toy2(), 8, 0), grid), grid, "fitted")
    preset = SamplingPreset("unipc2", (20.0, 1.0, 0.2), plan.to_dict(), {"total": 0.5, "n": 800})
    info = ModelInfo("tuned", Config(), (0, 0, 1), {3: preset})
    read = ModelInfo.from_dict(json.loads(json.dumps(info.to_dict())), "test")
    assert read.presets == info.presets
    assert default_plan(read, 3) == plan
    assert default_plan(read, 5).solver == UniPC2()
