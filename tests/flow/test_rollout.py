"""Long steps: the clean state that carries one state to another, and how grids nest."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.rollout import end_of_step, rollout_target, split
from molgen.flow.solvers import solver_named
from molgen.flow.solvers.base import Evaluation, transfer

LEVELS = st.floats(-4.0, 4.0)


@given(lam=LEVELS, gap=st.floats(0.05, 6.0), lead=st.floats(0.0, 2.0), seed=st.integers(0, 99))
def test_the_target_carries_the_start_to_the_end(
    lam: float, gap: float, lead: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    start, end = (
        {
            "pos": torch.randn(3, 5, 3, generator=generator, dtype=torch.float64),
            "element": torch.randn(3, 5, 4, generator=generator, dtype=torch.float64),
        }
        for _ in range(2)
    )
    offsets = {"pos": 0.0, "element": lead}
    target = rollout_target(start, end, lam, lam + gap, offsets)
    moved = transfer(Evaluation(lam, start, target), target, lam + gap, offsets)
    for name, wanted in end.items():
        torch.testing.assert_close(moved[name], wanted, rtol=1e-9, atol=1e-9)


def test_a_step_to_clean_data_wants_the_end_itself() -> None:
    start, end = torch.randn(2, 3, 3), torch.randn(2, 3, 3)
    assert torch.equal(rollout_target(start, end, 1.0, math.inf), end)


def test_one_exact_step_is_its_own_target() -> None:
    start = torch.randn(2, 4, 3, dtype=torch.float64)
    clean = torch.randn(2, 4, 3, dtype=torch.float64)
    end = transfer(Evaluation(-1.0, start, clean), clean, 0.5, {})
    torch.testing.assert_close(rollout_target(start, end, -1.0, 0.5), clean)


@pytest.mark.parametrize("end", [0.0, -1.0])
def test_a_step_away_from_data_is_refused(end: float) -> None:
    with pytest.raises(UsageError, match="does not lead to data"):
        rollout_target(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), 0.0, end)


def test_the_parts_of_a_split_walk_from_one_level_of_the_student_to_the_next() -> None:
    fine, coarse = TimeGrid((-2.0, -1.0, 0.0, 1.0, 2.0, math.inf)), TimeGrid((-2.0, 0.5, math.inf))
    assert split(fine, coarse) == (
        TimeGrid((-2.0, -1.0, 0.0, 0.5)),
        TimeGrid((0.5, 1.0, 2.0, math.inf)),
    )


def test_a_student_that_jumps_to_the_targets_ends_where_the_teacher_does() -> None:
    """With first-order steps, the parts in a row are the fine solver."""
    fine = TimeGrid((-2.0, -1.0, 0.0, 1.0, 2.0, math.inf))
    coarse = TimeGrid((-2.0, 0.0, math.inf))
    solver = solver_named("ddim")

    def teacher(x: torch.Tensor, lam: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) * torch.sigmoid(lam)

    x = start = torch.randn(6, 3, 3, dtype=torch.float64)
    for part in split(fine, coarse):
        lam, end = part.lam[0], part.lam[-1]
        target = rollout_target(x, solver.solve(teacher, x, part), lam, end)
        x = target if math.isinf(end) else transfer(Evaluation(lam, x, target), target, end, {})
    torch.testing.assert_close(x, solver.solve(teacher, start, fine))


def test_steps_know_where_they_end() -> None:
    grid = TimeGrid((-2.0, 0.5, math.inf))
    assert [end_of_step(grid, lam) for lam in (-2.0, 0.5, 3.0)] == [0.5, math.inf, math.inf]
