"""Networks that are told where the step ends that a call is for."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from e3nn import o3
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.config import parse_config
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.solvers import solver_named
from molgen.models.build import start_from
from molgen.models.denovo import DeNovo, Scales, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.nn.network import EquivariantTransformer, Estimate
from molgen.sampling.sampler import draw

from ..networks import (  # noqa: TID252
    DTYPES,
    SIZES,
    WIDTH,
    Case,
    assert_close,
    random_case,
    random_model,
)

each_precision = pytest.mark.parametrize("dtype", DTYPES, ids=str)
INFO = ModelInfo("aware", parse_config({"model": {"pos_scale": 1.4}}), (0, 0, 0, 4, 2, 1))


@cache
def aware_model(*, silent: bool = False, dtype: torch.dtype = torch.float32) -> DeNovo:
    """The random model with an ear for ends, which listens unless it is silent."""
    with torch.random.fork_rng():
        torch.manual_seed(8)
        sizes = replace(SIZES, step_size_cond=True)
        model = DeNovo(EquivariantTransformer(sizes, WIDTH), Scales(1.4, 2.0, 1.0))
        start_from(model, random_model())
        ends = model.network.noise_end
        assert ends is not None
        if not silent:
            torch.nn.init.normal_(ends[1].weight, std=0.5)
    return model.to(dtype).eval()


@torch.no_grad()
def told(model: DeNovo, case: Case, end: Tensor | None) -> Estimate:
    return model(case.state, case.lam, case.mask, case.self_cond, None, end)


def test_before_training_it_says_what_the_weights_it_started_from_say() -> None:
    case = random_case([4, 7], 0, torch.float32, hinted=True)
    plain = told(random_model(), case, None)
    for end in (None, torch.tensor([1.0, math.inf])):
        assert torch.equal(told(aware_model(silent=True), case, end).pos, plain.pos)


def test_the_end_of_the_step_decides_the_estimate() -> None:
    case = random_case([5, 5], 1, torch.float32, hinted=True)
    near, far, unknown = (
        told(aware_model(), case, end).pos
        for end in (torch.full((2,), 0.5), torch.full((2,), math.inf), None)
    )
    assert float((near - far).abs().max()) > 1e-3
    assert float((near - unknown).abs().max()) > 1e-3
    assert bool(far.isfinite().all())


@each_precision
def test_it_turns_with_the_molecule(dtype: torch.dtype) -> None:
    case, end = random_case([6, 3], 2, dtype, hinted=False), torch.tensor([0.3, math.inf])
    turn = -o3.rand_matrix(dtype=dtype)  # a rotation and a reflection
    turned = replace(case, state={**case.state, "pos": case.state["pos"] @ turn})
    one, other = (told(aware_model(dtype=dtype), each, end.to(dtype)) for each in (case, turned))
    assert_close(other.pos, one.pos @ turn, "pos")
    assert_close(other.bond, one.bond, "bond")


@each_precision
def test_every_molecule_of_a_batch_has_its_own_end(dtype: torch.dtype) -> None:
    case, end = random_case([5, 5, 5], 3, dtype, hinted=False), torch.tensor([-1.0, 0.5, math.inf])
    together = told(aware_model(dtype=dtype), case, end.to(dtype))
    for row in range(3):
        state = {name: value[row : row + 1] for name, value in case.state.items()}
        alone = Case(state, case.lam[row : row + 1], case.mask[row : row + 1], None)
        estimate = told(aware_model(dtype=dtype), alone, end[row : row + 1].to(dtype))
        assert_close(estimate.pos, together.pos[row : row + 1], "pos")


def test_the_denoiser_tells_the_next_level_of_its_grid() -> None:
    case = random_case([4, 6], 4, torch.float32, hinted=False)
    grid = TimeGrid((-2.0, 0.4, math.inf))
    for lam, end in ((-2.0, 0.4), (0.4, math.inf)):
        denoise = SelfConditioned(aware_model(), case.mask, grid)
        with torch.no_grad():
            denoise(dict(case.state), torch.tensor(lam, dtype=torch.float64))
        at = replace(case, lam=torch.full((2,), lam))
        expected = told(aware_model(), at, torch.full((2,), end))
        assert torch.equal(denoise.estimate.pos, expected.pos)


def test_samplers_tell_where_single_steps_end_and_nothing_where_calls_are_shared() -> None:
    grid = TimeGrid((-2.0, 0.0, 1.5, math.inf))

    def positions(model: DeNovo, solver: str) -> list[float]:
        plan = Plan(solver_named(solver), grid)
        drawn = draw(LoadedModel(model, INFO), range(4), plan=plan, seed=1)
        return [float(abs(one.beliefs.pos).sum()) for one in drawn]

    deaf = aware_model(silent=True)
    assert positions(aware_model(), "ddim") != positions(deaf, "ddim")
    assert positions(aware_model(), "dpm++2m") == positions(deaf, "dpm++2m")
