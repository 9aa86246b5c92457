"""Compiled, and on an accelerator, the core says what it says uncompiled on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from molgen.flow.grid import TimeGrid
from molgen.flow.process import Gaussian, exact_step
from molgen.flow.schedules import SCHEDULES, OTFlow
from molgen.flow.solvers import DDIM, Ancestral, DPMpp2M, Euler, Heun, Solver, UniPC2

from .mixtures import toy2

LEVELS = torch.tensor([[-2.0, 0.3, 0.3], [1.0, 4.0, 7.0]], dtype=torch.float64)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Any:
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_exact_steps_compile_into_one_graph(rho: float) -> None:
    def step(x: Tensor, x0: Tensor, lam: Tensor, z: Tensor) -> Tensor:
        return exact_step(x, x0, lam, lam + 0.5, rho, z)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    given = (randn(2, 3, 3), randn(2, 3, 3, seed=1), LEVELS, randn(2, 3, 3, seed=2))
    torch.testing.assert_close(compiled(*given), step(*given), rtol=1e-6, atol=1e-6)


def test_corruption_compiles_into_one_graph() -> None:
    corrupt = Gaussian(zero_com=True).corrupt
    compiled = torch.compile(corrupt, backend="aot_eager", fullgraph=True)
    given = (randn(2, 3, 3), randn(2, 3, 3, seed=1), LEVELS)
    torch.testing.assert_close(compiled(*given), corrupt(*given), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_compile(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = torch.linspace(schedule.t_min, schedule.t_max, 5, dtype=torch.float64)[1:-1]

    def amplitudes(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at = schedule.coefficients(t)
        return at.a, at.b, at.dlam

    compiled = torch.compile(amplitudes, backend="aot_eager")
    for one, other in zip(compiled(t), amplitudes(t), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize(
    "solver", [DDIM(), DPMpp2M(), UniPC2(), Ancestral(0.5), Euler(OTFlow()), Heun(OTFlow())]
)
def test_solvers_agree_across_devices(solver: Solver) -> None:
    mixture, grid, x = toy2(), TimeGrid.uniform(OTFlow(), 6), randn(32, 2).double()

    def walk(device: str) -> Tensor:
        def denoise(state: Any, lam: Tensor) -> Tensor:
            return mixture.denoise(state.cpu(), lam).to(device)

        end = solver.solve(
            denoise, x.to(device), grid, noise=lambda step: randn(32, 2, seed=step).to(device)
        )
        assert isinstance(end, Tensor)
        return end.cpu().double()

    torch.testing.assert_close(walk("cuda"), walk("cpu"), rtol=1e-9, atol=1e-9)
