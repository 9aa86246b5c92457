"""Levels per row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, Asynchronous, Completion, is_given
from molgen.flow.schedule import unit_tv
from molgen.flow.times import Logistic

BASE = Logistic(0.5, 1.0, lam_min=-6.0, lam_max=6.0)
chances = st.floats(0, 1)


def draw(sampler: Asynchronous, n: int, rows: int, seed: int, mask: Tensor | None = None) -> Tensor:
    return sampler.levels(torch.zeros(n, rows, 3), torch.Generator().manual_seed(seed), mask)


@given(chances, chances, st.integers(0, 1000), st.integers(1, 6))
def test_levels_are_finite_and_some_real_row_is_always_noisy(
    p_async: float, p_clean: float, seed: int, rows: int
) -> None:
    sizes = torch.arange(12) % rows + 1
    mask = torch.arange(rows) < sizes[:, None]
    sampler = Asynchronous(BASE, p_async, p_clean)
    lam = draw(sampler, 12, rows, seed, mask)
    assert lam.shape == (12, rows)
    assert lam.dtype == torch.float32
    assert lam.isfinite().all()
    assert ((lam < CLEAN_LEVEL) & mask).any(dim=1).all()
    assert torch.equal(lam, draw(sampler, 12, rows, seed, mask))


def test_shared_and_independent_samples_have_their_shares() -> None:
    lam = draw(Asynchronous(BASE, p_async=0.25), 400, 5, 0)
    is_shared = (lam == lam[:, :1]).all(dim=1)
    assert int(is_shared.sum()) == 300
    assert len(lam[~is_shared].flatten().unique()) > 490


@pytest.mark.parametrize("p_async", [0.0, 0.5, 1.0])
def test_every_row_has_the_density_of_the_base(p_async: float) -> None:
    lam = draw(Asynchronous(BASE, p_async), 2000, 3, 1)
    for row in lam.T:
        assert kstest(row.numpy(), "logistic", args=(0.5, 1.0)).statistic < 0.04


def test_clean_rows_have_their_share_where_not_all_are() -> None:
    p, rows = 0.3, 6
    is_clean = draw(Asynchronous(BASE, 0.5, p), 4000, rows, 2) == CLEAN_LEVEL
    # A sample that would be clean altogether gives one row back.
    expected = p - p**rows / rows
    assert float(is_clean.float().mean()) == pytest.approx(expected, abs=4 * (0.21 / 24000) ** 0.5)


def test_certainly_clean_leaves_one_random_row() -> None:
    lam = draw(Asynchronous(BASE, 0.0, 1.0), 900, 3, 3)
    noisy = lam < CLEAN_LEVEL
    assert (noisy.sum(dim=1) == 1).all()
    assert noisy.sum(dim=0).min() > 230  # 300 expected each, deviation 14


def test_the_clean_level_adds_nothing_to_single_precision_data() -> None:
    x0, eps = torch.randn(2, 1000)
    a, b = unit_tv(torch.tensor(CLEAN_LEVEL))
    assert float(a) == 1
    assert float((a.float() * x0 + b.float() * eps - x0).abs().max()) < 1e-8


@pytest.mark.parametrize("chance", [{"p_async": -0.1}, {"p_clean": 1.1}])
def test_what_is_no_probability_is_refused(chance: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Asynchronous(BASE, **chance)


def complete(near: float, n: int = 600, rows: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Positions on a line, and the levels of their completion."""
    x0 = torch.arange(rows, dtype=torch.float32).expand(n, rows)[..., None]
    sampler = Completion(BASE, share=0.5, near=near)
    return x0, sampler.levels(x0, torch.Generator().manual_seed(seed))


def test_completion_gives_its_share_of_samples_any_number_of_rows_but_all() -> None:
    _, lam = complete(0.5)
    n_given = is_given(lam).sum(dim=1)
    assert int((n_given > 0).sum()) == 300
    assert n_given[n_given > 0].unique().tolist() == list(range(1, 9))
    assert float(n_given[n_given > 0].float().mean()) == pytest.approx(4.5, abs=0.6)


@given(st.integers(0, 1000), st.integers(1, 6), chances)
def test_completion_leaves_one_level_and_a_row_to_make(seed: int, rows: int, near: float) -> None:
    sizes = torch.arange(12) % rows + 1
    mask = torch.arange(rows) < sizes[:, None]
    x0 = torch.randn(12, rows, 3, generator=torch.Generator().manual_seed(seed))
    lam = Completion(BASE, 0.7, near).levels(x0, torch.Generator().manual_seed(seed), mask)
    assert not (is_given(lam) & ~mask).any()
    for levels, real in zip(lam, mask, strict=True):
        assert len(levels[~is_given(levels)].unique()) == 1
        assert bool((~is_given(levels) & real).any())


def test_near_rows_lie_together() -> None:
    _, lam = complete(near=1.0)
    for rows in is_given(lam[is_given(lam).any(dim=1)]):
        places = rows.nonzero().flatten()
        assert int(places[-1] - places[0]) == len(places) - 1
    _, lam = complete(near=0.0)
    apart = [rows.nonzero().flatten() for rows in is_given(lam) if rows.any()]
    assert any(int(places[-1] - places[0]) > len(places) - 1 for places in apart)


def test_completion_keeps_the_density_of_the_base() -> None:
    lam = complete(0.5, n=3000)[1]
    level = lam.masked_fill(is_given(lam), torch.inf).amin(dim=1)
    assert kstest(level.numpy(), "logistic", args=(0.5, 1.0)).statistic < 0.03
