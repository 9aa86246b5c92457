"""A model's own way from noise is the way that a sampler takes with the same preset."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.flow.grid import TimeGrid
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.flow.solvers import solver_named
from molgen.models.denovo import SelfConditioned
from molgen.models.rollout import advance, call, noise
from molgen.nn.network import Estimate

from ..networks import random_model, seeds, sizes  # noqa: TID252

LEVELS = (-1.0, 0.4, 1.5)
LEAN = LogitBias.of({"element": (0.0, 0.5, -1.0, 0.3, 0.0), "bond": (0.7, 0.0, 0.0, 0.0, 0.0)})


@settings(deadline=None, max_examples=10)
@given(sizes, seeds, st.sampled_from([NO_LOGIT_BIAS, LEAN]))
def test_it_ends_where_a_solver_of_first_order_does(
    n_atoms: list[int], seed: int, logit_bias: LogitBias
) -> None:
    model = random_model()
    mask = torch.arange(max(n_atoms)) < torch.tensor(n_atoms)[:, None]
    grid = TimeGrid((*LEVELS, math.inf))
    x = start = noise(model, mask, torch.Generator().manual_seed(seed))
    estimate: Estimate | None = None
    with torch.no_grad():
        for step in pairwise(grid.lam):
            estimate = call(model, x, estimate, step, mask, logit_bias=logit_bias)
            if math.isfinite(step[1]):
                x = advance(model, x, estimate, step, mask)
        walked = SelfConditioned(model, mask, grid, logit_bias)
        end = solver_named("ddim").solve(walked, start, grid, offsets=model.offsets)
    assert estimate is not None
    torch.testing.assert_close(estimate.pos, end["pos"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(estimate.bond, walked.estimate.bond, rtol=1e-4, atol=1e-4)


def test_noise_has_no_centre_and_no_padding() -> None:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    x = noise(random_model(), mask, torch.Generator().manual_seed(0))
    assert x["pos"].sum(dim=1).abs().max() < 1e-5
    assert not x["pos"][~mask].any()
    assert not x["element"][~mask].any()


def test_a_call_goes_by_the_forward_pass_that_is_given() -> None:
    model, mask = random_model(), torch.ones(1, 4, dtype=torch.bool)
    x = noise(model, mask, torch.Generator().manual_seed(0))
    first = call(model, x, None, (0.0, 1.0), mask)
    seen = []

    def forward(*arguments: object) -> Estimate:
        seen.append(arguments)
        return replace(first, pos=2 * first.pos)

    assert torch.equal(call(model, x, None, (0.0, 1.0), mask, forward).pos, 2 * first.pos)
    assert len(seen) == 1
