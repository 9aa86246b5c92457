"""Solvers with a rule or weights per step, and the one with weights measured on the way."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow import OTFlow, State, TimeGrid, unit_tv
from molgen.flow.extra.evodiff import EVODiff
from molgen.flow.solvers import (
    DPMpp2M,
    ExpMultistep,
    LinearMultistep,
    Rule,
    Stepwise,
)

from .mixtures import mol27, normal
from .schedules_under_test import spanning

MOL27 = mol27()


few = settings(max_examples=30)


def tensor(state: State) -> Tensor:
    assert isinstance(state, Tensor)
    return state


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_stepwise_rules_without_corrector_are_the_adams_methods() -> None:
    grid, x = TimeGrid.uniform(spanning(OTFlow()), 6), normal(20, 27)
    for degree, prediction in [(1, "x0"), (2, "eps"), (3, "x0"), (3, "eps")]:
        rule = Rule(degree, prediction, corrector=False)
        steps = Stepwise((rule,) * 6).solve(MOL27.denoise, x, grid)
        adams = ExpMultistep(degree, prediction, lower_order_final=False)
        assert torch.equal(tensor(steps), tensor(adams.solve(MOL27.denoise, x, grid)))


def test_stepwise_corrects_only_the_steps_that_say_so() -> None:
    grid, x = TimeGrid.uniform(spanning(OTFlow()), 5), normal(20, 27)
    on, off = Rule(3, "x0"), Rule(3, "x0", corrector=False)

    def states(*rules: Rule) -> list[Tensor]:
        seen: list[Tensor] = []
        Stepwise(rules).solve(MOL27.denoise, x, grid, on_step=lambda _, s: seen.append(tensor(s)))
        return seen

    plain, late = states(*[off] * 5), states(off, off, on, off, off)
    same = [torch.equal(one, other) for one, other in zip(plain, late, strict=True)]
    assert same == [True, True, True, False, False]


def test_fitted_weights_reproduce_the_method_they_were_taken_from() -> None:
    grid, x = TimeGrid.uniform(spanning(OTFlow()), 5, to_data=False), normal(20, 27)
    h = doubles(*grid.lam).diff().tolist()
    halves = [h[i] / (2 * h[i - 1]) for i in range(1, 5)]
    solver = LinearMultistep(((1.0,), *((1 + half, -half) for half in halves)))
    torch.testing.assert_close(
        solver.solve(MOL27.denoise, x, grid),
        DPMpp2M(lower_order_final=False).solve(MOL27.denoise, x, grid),
        rtol=1e-12,
        atol=1e-12,
    )


@few
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.integers(0, 99))
def test_fitted_solvers_are_exact_for_a_perfect_prediction(free: list[float], seed: int) -> None:
    x0, eps, grid = normal(3, 4, seed), normal(3, 4, seed + 1), TimeGrid((-1.0, 0.0, 1.0, 2.5))
    rows = ((1.0,), (1 - free[0], free[0]), (1 - free[0] - free[1], free[0], free[1]))
    a, b = unit_tv(doubles(*grid.lam))
    end = LinearMultistep(rows).solve(lambda *_: x0, a[0] * x0 + b[0] * eps, grid)
    torch.testing.assert_close(end, a[3] * x0 + b[3] * eps, rtol=1e-12, atol=1e-12)


def test_evodiff_treats_molecules_one_by_one_and_ignores_rotations() -> None:
    grid = TimeGrid.uniform(spanning(OTFlow()), 6, to_data=False)
    x = normal(4, 15).reshape(4, 5, 3)
    x[:, 3:] = 0
    turn = torch.linalg.qr(normal(3, 3))[0]
    denoise = lambda state, lam: torch.tanh(state.norm(dim=-1, keepdim=True) + lam) * state  # noqa: E731
    together = tensor(EVODiff().solve(denoise, x, grid))
    torch.testing.assert_close(EVODiff().solve(denoise, x[:1, :3], grid), together[:1, :3])
    torch.testing.assert_close(EVODiff().solve(denoise, x @ turn, grid), together @ turn)
    assert not tensor(EVODiff(released=True).solve(denoise, x, grid)).isnan().any()
    assert not torch.equal(together, tensor(EVODiff(released=True).solve(denoise, x, grid)))
