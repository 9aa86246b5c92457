"""Plans: solver and grid together, and their JSON form."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow import OTFlow, TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.schedules import ISSNR
from molgen.flow.solvers import (
    RK45,
    SOLVERS,
    ExpMultistep,
    LinearMultistep,
    Rule,
    Stepwise,
    solver_named,
)

names = st.sampled_from([*SOLVERS, "evodiff"])
schedules = st.builds(ISSNR, eta=st.floats(0.5, 3), kappa=st.floats(-2, 2))


@given(names, schedules, st.sampled_from(["const", "ve", "ot"]), st.integers(1, 8), st.booleans())
def test_plans_survive_json(
    name: str, schedule: ISSNR, variance: str, n_steps: int, to_data: bool
) -> None:
    solver = solver_named(name, schedule=schedule.with_tv(variance), rho=0.4, churn=3.0)
    plan = Plan(solver, TimeGrid.uniform(schedule, n_steps, to_data=to_data), "issnr")
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict(), allow_nan=False)))
    assert again == plan
    assert again.nfe == solver.nfe(n_steps)


def test_plans_with_a_rule_or_weights_per_step_survive_json() -> None:
    grid = TimeGrid.uniform(OTFlow(), 2)
    for solver in (
        Stepwise((Rule(1, "eps", corrector=False), Rule(2))),
        LinearMultistep(((1.0,), (1.5, -0.5))),
    ):
        plan = Plan(solver, grid, "fitted")
        assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_the_solver_must_be_able_to_follow_the_grid() -> None:
    grid = TimeGrid.uniform(OTFlow(), 3)
    with pytest.raises(UsageError, match="has 2 steps, the grid 3"):
        Plan(LinearMultistep(((1.0,), (1.0,))), grid)
    with pytest.raises(UsageError, match="step to clean data"):
        Plan(RK45(OTFlow(), lower_order_final=False), grid)
    with pytest.raises(UsageError, match="without any signal"):
        Plan(ExpMultistep(2, "eps"), TimeGrid((-math.inf, 0.0, math.inf)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs 'solver' and 'grid'"),
        ({"solver": "ddim", "grid": {"lam": [0, 1], "to_data": False}}, "needs 'solver' and"),
        ({"solver": {"name": "ddim"}, "grid": {"lam": [1, 0], "to_data": False}}, "not increase"),
        ({"solver": {"name": "dim"}, "grid": {"lam": [0, 1], "to_data": False}}, "unknown solver"),
    ],
)
def test_broken_plans_are_usage_errors(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan.from_dict(fields)
