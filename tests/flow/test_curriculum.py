"""Curricula over noise levels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.extra.training import Plateau
from molgen.flow.times import Curriculum, Logistic, LogUniform, Mixture

BASE = Mixture(((3.0, Logistic(0.5, 1.0, lam_min=-4.0, lam_max=5.0)), (1.0, LogUniform(0.02, 0.3))))
COURSE = Curriculum(BASE, edges=(-1.0, 0.5, 2.0))


@settings(max_examples=20)
@given(st.floats(0, 1))
def test_levels_open_from_the_noisy_end(progress: float) -> None:
    draws = COURSE.at(progress).sample(500, torch.Generator().manual_seed(0))
    stage = math.floor(progress * 4 + 1e-9)
    limit = (*COURSE.edges, 5.0)[min(stage, 3)]
    assert float(draws.max()) <= limit + 1e-6
    assert float(draws.max()) > limit - 1.0
    assert float(draws.min()) < -2.0


def test_the_last_stage_is_the_density_itself() -> None:
    assert COURSE.at(0.75) is BASE
    assert COURSE.at(1.0) is BASE
    assert COURSE.n_clusters == 4


@settings(max_examples=8)
@given(st.integers(1, 12))
def test_every_stage_of_a_plateau_opens_one_more_cluster(n: int) -> None:
    course = Curriculum(LogUniform(0.01, 10.0), tuple(-2.0 + 4 * i / n for i in range(n - 1)))
    budget = Plateau(n, patience=1)
    for stage in range(n):
        opened = course.at(budget.progress)
        expected = course.edges[stage] if stage < n - 1 else -math.log(0.01)
        highest = opened.quantile(torch.tensor(1.0, dtype=torch.float64))
        assert float(highest) == pytest.approx(expected, abs=1e-6)
        budget = budget.observe(1.0).observe(1.0)


def test_a_plateau_waits_for_patience_and_forgets_the_old_loss() -> None:
    budget = Plateau(3, patience=2, gain=0.1)
    for loss, stage in [(1.0, 0), (0.5, 0), (0.49, 0), (0.48, 1), (9.0, 1), (8.9, 1), (8.8, 2)]:
        budget = budget.observe(loss)
        assert budget.stage == stage, loss
    for _ in range(9):
        budget = budget.observe(1.0)
    assert budget.stage == 2
    assert budget.progress == pytest.approx(2 / 3)


def test_edges_out_of_order_and_empty_clusters_are_refused() -> None:
    with pytest.raises(UsageError):
        Curriculum(BASE, (1.0, 1.0))
    with pytest.raises(UsageError):
        Curriculum(LogUniform(0.1, 1.0), (-5.0,)).at(0.0)
