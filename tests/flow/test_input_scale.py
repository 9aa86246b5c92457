"""Networks that are called at another total variance than the process has."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.input_scale import InputScale
from molgen.flow.logit_bias import LogitBias
from molgen.flow.plan import Plan
from molgen.flow.solvers import solver_named
from molgen.flow.state import State

GRID = TimeGrid((-1.0, 0.4, math.inf))
DDIM = solver_named("ddim")
SPREAD = 0.5
"""Standard deviation of data whose expected value the denoiser below gives."""


def expected(x: State, lam: Tensor) -> State:
    """Denoiser of centred normal data of unit scale: x0 = a x / (a^2 + b^2) at total variance 1."""
    assert isinstance(x, Tensor)
    return x * float(torch.sigmoid(2 * lam)) ** 0.5


taus = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=2).map(tuple)


@given(taus)
def test_every_call_sees_its_own_and_the_walk_keeps_to_the_process(
    input_scale: tuple[float, float],
) -> None:
    seen: list[Tensor] = []

    def watched(x: State, lam: Tensor) -> State:
        assert isinstance(x, Tensor)
        seen.append(x)
        return expected(x, lam)

    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = [x]
    plan = Plan(DDIM, GRID, input_scale=input_scale)
    plan.solver.solve(
        plan.called(watched),
        x,
        GRID,
        on_step=lambda _, state: states.append(torch.as_tensor(state)),
    )
    for call, state, factor in zip(seen, states, input_scale, strict=False):
        torch.testing.assert_close(call, factor * state)
    # The step that follows is the exact one from the state itself, whatever the network was shown.
    a, b = (torch.sigmoid(torch.tensor(sign * 2 * GRID.lam[0]).double()) ** 0.5 for sign in (1, -1))
    c, d = (torch.sigmoid(torch.tensor(sign * 2 * GRID.lam[1]).double()) ** 0.5 for sign in (1, -1))
    clean = expected(input_scale[0] * x, torch.tensor(GRID.lam[0], dtype=torch.float64))
    torch.testing.assert_close(states[1], c * clean + d * (x - a * clean) / b)


def test_one_modality_is_called_at_it() -> None:
    seen: dict[str, Tensor] = {}

    def watched(x: State, _: Tensor) -> State:
        assert isinstance(x, dict)
        seen.update(x)
        return x

    x = {"pos": torch.ones(1, 2, 3), "element": torch.ones(1, 2, 5)}
    InputScale(watched, GRID, (1.5, 1.0), "pos")(x, torch.tensor(GRID.lam[0], dtype=torch.float64))
    assert seen["pos"].unique().tolist() == [1.5]
    assert seen["element"] is x["element"]
    InputScale(watched, GRID, (1.5, 1.0), "pos")(x, torch.tensor(GRID.lam[1], dtype=torch.float64))
    assert seen["pos"] is x["pos"]


def test_without_it_the_network_is_called_as_it_is() -> None:
    assert Plan(DDIM, GRID).called(expected) is expected


@given(st.none() | taus)
def test_it_survives_json(input_scale: tuple[float, float] | None) -> None:
    plan = Plan(DDIM, GRID, "fitted", input_scale)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert ("input_scale" in plan.to_dict()) == (input_scale is not None)


def test_a_plan_that_leans_survives_json_and_can_be_had_plain() -> None:
    plan = Plan(DDIM, GRID, "fitted", (1.0, 1.1), LogitBias.of({"element": (0.5, -0.5)}))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert plan.plain() == Plan(DDIM, GRID, "fitted")
    assert "logit_bias" not in plan.plain().to_dict()


def test_a_lean_belongs_to_single_calls() -> None:
    with pytest.raises(UsageError, match="no single call per step"):
        Plan(solver_named("dpm++2m"), GRID, logit_bias=LogitBias.of({"element": (0.1,)}))


@pytest.mark.parametrize(
    ("solver", "input_scale", "message"),
    [
        ("ddim", (1.0,), "1 values of input_scale for 2 calls"),
        ("ddim", (1.0, 0.0), "total standard deviation"),
        ("ddim", (math.inf, 1.0), "total standard deviation"),
        ("dpm++2m", (1.0, 1.1), "no single call per step"),
    ],
)
def test_it_belongs_to_the_calls_of_a_plan(
    solver: str, input_scale: tuple[float, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(solver_named(solver), GRID, input_scale=input_scale)
