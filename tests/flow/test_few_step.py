"""Few network calls on exact mixtures: what each choice of solver, grid and frame is worth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from molgen.flow import OTFlow, TimeGrid
from molgen.flow.extra.evodiff import EVODiff
from molgen.flow.schedules import ISSNR, Cosine
from molgen.flow.solvers import (
    DDIM,
    DPMpp2M,
    Euler,
    ExpMultistep,
    Heun,
    Solver,
    UniPC2,
    UniPC3,
)

from .mixtures import mol27, normal, sliced_w2
from .schedules_under_test import Geometric, spanning

MOL27 = mol27()
N = 1500
STRAIGHT = spanning(OTFlow())


def sample(seed: int) -> Tensor:
    return MOL27.sample(N, torch.Generator().manual_seed(100 + seed))


def run(solver: Solver, grid: TimeGrid, seed: int = 0) -> Tensor:
    end = solver.solve(MOL27.denoise, normal(N, MOL27.dim, seed), grid)
    assert isinstance(end, Tensor)
    return end


@pytest.fixture(scope="module")
def data() -> Tensor:
    return sample(0)


@pytest.fixture(scope="module")
def floor() -> float:
    """Mean distance of two exact samples."""
    return sum(sliced_w2(sample(2 * i), sample(2 * i + 1)) for i in range(6)) / 6


def test_unipc_reaches_the_sampling_floor_in_five_calls(floor: float) -> None:
    grid = TimeGrid.uniform(STRAIGHT, 5)
    mean = sum(sliced_w2(run(UniPC2(), grid, seed), sample(seed)) for seed in range(4)) / 4
    assert mean <= 1.2 * floor


@pytest.mark.parametrize(
    ("solver", "n_steps", "most_floors", "least_stable"),
    [
        (UniPC2(), 4, 1.5, 0.97),
        (UniPC3(), 5, 1.35, 0.98),
        (UniPC2(), 9, 1.25, 0.99),
        (DPMpp2M(), 5, 1.5, 0.98),
        (ExpMultistep(2, "x0"), 5, 1.5, 0.98),
        (ExpMultistep(3, "x0"), 5, 1.5, 0.98),
        (ExpMultistep(2, "eps"), 5, 1.6, 0.98),
        (EVODiff(), 5, 1.5, 0.97),
        (DDIM(), 5, 2.0, 0.98),
    ],
)
def test_few_steps_on_the_straight_schedule(
    solver: Solver,
    n_steps: int,
    most_floors: float,
    least_stable: float,
    data: Tensor,
    floor: float,
) -> None:
    x = run(solver, TimeGrid.uniform(STRAIGHT, n_steps))
    assert sliced_w2(x, data) <= most_floors * floor
    assert MOL27.stability(x) >= least_stable


@pytest.mark.parametrize(
    ("schedule", "gain"), [(Geometric(), 5), (spanning(ISSNR(1.5, 1.0)), 5), (STRAIGHT, 5)]
)
def test_constant_variance_rescues_exploding_schedules_under_euler(
    schedule: Geometric | ISSNR | OTFlow, gain: float, data: Tensor
) -> None:
    grid = TimeGrid.uniform(schedule, 5, to_data=False)
    exploding = sliced_w2(run(Euler(schedule.with_tv("ve")), grid), data)
    constant = sliced_w2(run(Euler(schedule.with_tv("const")), grid), data)
    assert constant < 0.3
    assert exploding >= gain * constant


def test_heun_fails_on_exploding_variance_and_not_on_straight_lines(data: Tensor) -> None:
    grid = TimeGrid.uniform(STRAIGHT, 3)
    straight = sliced_w2(run(Heun(STRAIGHT), grid), data)
    exploding = sliced_w2(run(Heun(STRAIGHT.with_tv("ve")), grid), data)
    assert straight < 0.15
    assert exploding > 5 * straight


def test_order_is_what_pays_at_five_calls(data: Tensor) -> None:
    for schedule in (STRAIGHT, spanning(Cosine(s=1e-4))):
        grid = TimeGrid.uniform(schedule, 5)
        first, second, corrected = (
            sliced_w2(run(solver, grid), data) for solver in (DDIM(), DPMpp2M(), UniPC2())
        )
        assert corrected <= second < first


def test_corrector_pays_on_a_poor_grid(data: Tensor) -> None:
    grid = TimeGrid.log_snr(0.002, 30.0, 5)
    plain, corrected = (run(solver, grid) for solver in (DPMpp2M(), UniPC2()))
    assert sliced_w2(corrected, data) <= sliced_w2(plain, data)
    assert MOL27.stability(corrected) >= MOL27.stability(plain) + 0.2


@pytest.mark.parametrize("prediction", ["x0", "eps"])
def test_higher_order_last_step_costs_quality(prediction: str, data: Tensor) -> None:
    grid = TimeGrid.uniform(STRAIGHT, 5, to_data=False)
    first, second = (
        run(ExpMultistep(2, prediction, lower_order_final=low), grid) for low in (True, False)
    )
    assert sliced_w2(first, data) < sliced_w2(second, data)
    assert MOL27.stability(first) > MOL27.stability(second)
