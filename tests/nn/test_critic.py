"""The critic's laws: it scores a molecule, not how it lies, is numbered or is batched."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow.polar import orthonormal_by_qr
from molgen.nn.critic import Critic
from molgen.nn.network import Streams

from ..networks import (  # noqa: TID252
    DTYPES,
    SIZES,
    WIDTH,
    Case,
    assert_close,
    mapped_pos,
    random_case,
    random_model,
    seeds,
    sizes,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
some_examples = settings(max_examples=25)


@cache
def critic(dtype: torch.dtype) -> Critic:
    """A critic that has opinions."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = Critic(WIDTH, SIZES.lam_min, SIZES.lam_max, hidden=12)
        torch.nn.init.normal_(made.score.weight)
    return made.to(dtype)


@torch.no_grad()
def scores(case: Case, dtype: torch.dtype) -> Tensor:
    """Of noised molecules, through the blocks of a random denoiser."""
    model = random_model(dtype)
    self_cond = model.no_self_cond(case.mask, dtype)
    lam = case.lam
    streams = model.network.streams(
        case.state["pos"], case.state["element"], lam, lam + 1, self_cond, case.mask
    )
    return critic(dtype)(streams, lam, case.mask)


@each_precision
@given(n_atoms=sizes, seed=seeds)
@some_examples
def test_turning_and_mirroring_change_no_score(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    case = random_case(n_atoms, seed, dtype, hinted=False)
    generator = torch.Generator().manual_seed(seed)
    turn = orthonormal_by_qr(torch.randn(1, 3, 3, generator=generator, dtype=torch.float64))
    turned = mapped_pos(case, lambda pos: pos @ turn[0].to(dtype))
    assert_close(scores(turned, dtype), scores(case, dtype))


@each_precision
@given(n_atoms=sizes, seed=seeds, data=st.data())
@some_examples
def test_numbering_changes_no_score(
    dtype: torch.dtype, n_atoms: list[int], seed: int, data: st.DataObject
) -> None:
    case = random_case(n_atoms, seed, dtype, hinted=False)
    order = torch.tensor(data.draw(st.permutations(range(min(n_atoms)))))
    order = torch.cat([order, torch.arange(len(order), max(n_atoms))])
    state = {name: values[:, order] for name, values in case.state.items()}
    assert_close(scores(replace(case, state=state), dtype), scores(case, dtype))


@each_precision
@given(n_atoms=sizes, seed=seeds)
@some_examples
def test_company_and_padding_change_no_score(
    dtype: torch.dtype, n_atoms: list[int], seed: int
) -> None:
    case = random_case(n_atoms, seed, dtype, hinted=False)
    together = scores(case, dtype)
    for row, n in enumerate(n_atoms):
        one = slice(row, row + 1)
        state = {name: values[one, :n] for name, values in case.state.items()}
        alone = replace(case, state=state, lam=case.lam[one], mask=case.mask[one, :n])
        assert_close(scores(alone, dtype), together[one])


def test_an_untrained_critic_has_no_opinion() -> None:
    fresh = Critic(WIDTH, SIZES.lam_min, SIZES.lam_max, hidden=12)
    streams = Streams(torch.randn(3, 4, 24), torch.randn(3, 4, 3, 6), torch.randn(3, 4, 4, 12))
    mask = torch.ones(3, 4, dtype=torch.bool)
    assert torch.equal(fresh(streams, torch.zeros(3), mask), torch.zeros(3))


def test_it_can_count() -> None:
    """Two molecules with the same atoms, half of which differ in a feature: sums tell how many."""
    one = critic(torch.float64)
    torch.manual_seed(2)
    plain, marked = torch.randn(2, 24, dtype=torch.float64)
    pairs = torch.zeros(4, 8, 8, 12, dtype=torch.float64)
    scalars = plain.expand(4, 8, -1).clone()
    for row in range(4):
        scalars[row, :row] = marked
    mask = torch.ones(4, 8, dtype=torch.bool)
    streams = Streams(scalars, torch.zeros(4, 8, 3, 6, dtype=torch.float64), pairs)
    score = one(streams, torch.zeros(4, dtype=torch.float64), mask).detach()
    steps = score.diff()
    assert bool((steps.abs() > 1e-3).all())
    assert not math.isclose(float(score[3]), float(score[0]), abs_tol=1e-2)
