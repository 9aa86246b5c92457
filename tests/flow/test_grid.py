"""Time grids: what each constructor promises, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow import OTFlow, Schedule, TimeGrid

from .schedules_under_test import schedules


@given(schedules, st.integers(1, 60), st.booleans())
def test_uniform_grid_takes_the_schedules_levels(
    schedule: Schedule, n_steps: int, to_data: bool
) -> None:
    grid = TimeGrid.uniform(schedule, n_steps, to_data=to_data)
    assert grid.n_steps == n_steps
    assert grid.lam[0] == float(schedule.lam(torch.tensor(schedule.t_max, dtype=torch.float64)))
    assert math.isinf(grid.lam[-1]) == to_data


@given(schedules, st.integers(1, 20))
def test_total_variance_does_not_change_the_grid(schedule: Schedule, n_steps: int) -> None:
    assert TimeGrid.uniform(schedule.with_tv("ve"), n_steps) == TimeGrid.uniform(schedule, n_steps)


def test_karras_levels_are_the_published_ones() -> None:
    grid = TimeGrid.karras(0.002, 80.0, 7.0, 4, to_data=False)
    root = [80 ** (1 / 7) + i / 4 * (0.002 ** (1 / 7) - 80 ** (1 / 7)) for i in range(5)]
    assert grid.lam == pytest.approx([-7 * math.log(r) for r in root])


def test_karras_tends_to_log_snr() -> None:
    straight = TimeGrid.log_snr(0.01, 20.0, 8)
    assert TimeGrid.karras(0.01, 20.0, 1e7, 8).lam == pytest.approx(straight.lam, abs=1e-5)


@given(st.lists(st.floats(1e-3, 100), min_size=1, max_size=12, unique=True))
def test_grid_from_noise_levels_evaluates_there_and_ends_clean(sigmas: list[float]) -> None:
    sigmas = sorted(sigmas, reverse=True)
    levels = [-math.log(sigma) for sigma in sigmas]
    if len(set(levels)) < len(levels):
        return
    grid = TimeGrid.from_sigma(sigmas)
    assert grid.lam == (*levels, math.inf)
    assert grid.n_steps == len(sigmas)


@given(schedules, st.integers(1, 20), st.booleans())
def test_json_round_trip(schedule: Schedule, n_steps: int, to_data: bool) -> None:
    grid = TimeGrid.uniform(schedule, n_steps, to_data=to_data)
    stored = json.dumps(grid.to_dict(), allow_nan=False)
    assert TimeGrid.from_dict(json.loads(stored)) == grid


@pytest.mark.parametrize(
    "levels",
    [(1.0,), (), (1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (-math.inf, 0.0), (0.0, math.nan)],
)
def test_impossible_levels_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        TimeGrid(levels)


def test_bad_requests_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="1 step or more"):
        TimeGrid.uniform(OTFlow(), 0)
    with pytest.raises(UsageError, match="sigmas above 0"):
        TimeGrid.from_sigma([1.0, 0.0])
    with pytest.raises(UsageError, match="large to small"):
        TimeGrid.from_sigma([1.0, 2.0])
    with pytest.raises(UsageError, match="needs 'lam'"):
        TimeGrid.from_dict({"levels": [1, 2]})
