"""What every solver promises: calls, dtypes, devices, stored form, and clear refusals."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow import OTFlow, State, TimeGrid, unit_tv
from molgen.flow.schedules import ISSNR, Cosine, Polynomial
from molgen.flow.solvers import (
    DDIM,
    RK45,
    SOLVERS,
    Ancestral,
    DPMpp2MSDE,
    EDMChurn,
    Euler,
    ExpMultistep,
    LinearMultistep,
    Rule,
    Solver,
    Stepwise,
    solver_from_dict,
    solver_named,
    solver_to_dict,
)

from .mixtures import normal, toy2


def tensor(state: State) -> Tensor:
    assert isinstance(state, Tensor)
    return state


NAMES = [*SOLVERS, "evodiff"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_every_solver_by_name(name: str, n_steps: int) -> None:
    solver, calls, seen = solver_named(name, rho=0.5), [], []
    x = normal(8, 2).float()
    before = x.clone()

    def denoise(state: State, lam: Tensor) -> State:
        assert lam.dtype == torch.float64
        assert lam.shape == ()
        calls.append(toy2().denoise(tensor(state), lam).float())
        return calls[-1]

    end = solver.solve(
        denoise,
        x,
        TimeGrid.uniform(OTFlow(), n_steps),
        noise=lambda step: normal(8, 2, seed=step).float(),
        on_step=lambda step, _: seen.append(step),
    )
    assert len(calls) == solver.nfe(n_steps)
    assert seen == list(range(n_steps))
    assert torch.equal(tensor(end), calls[-1])
    assert torch.equal(x, before)
    assert x.dtype == torch.float32


def test_runge_kutta_counts_its_calls_on_grids_that_end_above_data() -> None:
    solver, calls = RK45(OTFlow(), lower_order_final=False), []
    solver.solve(
        lambda x, lam: (calls.append(lam), x)[1],
        normal(2, 2),
        TimeGrid.log_snr(0.05, 20.0, 3, to_data=False),
    )
    assert len(calls) == solver.nfe(3) == 18


@pytest.mark.parametrize("name", NAMES)
def test_levels_follow_the_state_to_its_device(name: str) -> None:
    """The meta device refuses to mix with the CPU, just as an accelerator does."""
    x = torch.empty(2, 3, 3, device="meta")
    grid = TimeGrid.uniform(OTFlow(), 4, to_data=False)
    end = tensor(
        solver_named(name).solve(
            lambda state, _: torch.empty_like(state), x, grid, noise=lambda _: x
        )
    )
    assert end.device == x.device
    assert end.dtype == x.dtype


@pytest.mark.parametrize("name", sorted({*NAMES} - {"euler", "heun", "rk45", "plms"}))
def test_sampling_may_start_from_pure_noise(name: str) -> None:
    grid, x, seen = TimeGrid((-math.inf, -1.0, 0.5, 2.0, math.inf)), normal(4, 2), []
    solver = solver_named(name, rho=0.0)
    if name.endswith("eps"):
        with pytest.raises(UsageError, match="without any signal"):
            solver.solve(toy2().denoise, x, grid)
        return
    end = solver.solve(
        toy2().denoise,
        x,
        grid,
        noise=lambda i: normal(4, 2, i),
        on_step=lambda _, state: seen.append(tensor(state)),
    )
    assert tensor(end).isfinite().all()
    a, b = unit_tv(torch.tensor(-1.0))
    data_mean = toy2().denoise(x, torch.tensor(-math.inf))
    if solver.nfe(2) == 2:
        torch.testing.assert_close(seen[0], a * data_mean + b * x)


STORED: list[Solver] = [
    *(solver_named(name, schedule=ISSNR(1.5, 1.0).with_tv("ve"), rho=0.3) for name in NAMES),
    Ancestral(math.inf),
    RK45(Cosine(nu=1.5), lower_order_final=False),
    LinearMultistep(((1.0,), (1.25, -0.25))),
    Stepwise((Rule(1, "eps", corrector=False), Rule(3))),
]


@pytest.mark.parametrize("solver", STORED, ids=lambda solver: solver.name)
def test_solvers_survive_json(solver: Solver) -> None:
    text = json.dumps(solver_to_dict(solver), allow_nan=False)
    assert solver_from_dict(json.loads(text)) == solver


def test_presets_can_be_stored_by_name_alone() -> None:
    assert solver_from_dict({"name": "adams3-eps"}) == ExpMultistep(3, "eps")


def test_bad_requests_are_usage_errors() -> None:
    x, mixture = normal(3, 2), toy2()
    grid = TimeGrid.uniform(OTFlow(), 3)
    with pytest.raises(UsageError, match=r'Did you mean "unipc[23]".*experimental: evodiff'):
        solver_named("unipc")
    for stochastic in (Ancestral(1.0), DPMpp2MSDE(), EDMChurn()):
        with pytest.raises(UsageError, match="Pass noise="):
            stochastic.solve(mixture.denoise, x, grid)
    with pytest.raises(UsageError, match="unknown modality 'bonds'"):
        DDIM().solve(mixture.denoise, x, grid, offsets={"bonds": 1.0})
    steep = TimeGrid.log_snr(0.0001, 10.0, 3, to_data=False)
    with pytest.raises(UsageError, match="does not reach"):
        Euler(Polynomial()).solve(mixture.denoise, x, steep)
    with pytest.raises(UsageError, match="step to clean data at order 5"):
        RK45(OTFlow(), lower_order_final=False).solve(mixture.denoise, x, grid)
    with pytest.raises(UsageError, match="has 2 steps, the grid 3"):
        LinearMultistep(((1.0,), (1.0,))).solve(mixture.denoise, x, grid)
    with pytest.raises(UsageError, match="has 1 steps, the grid 3"):
        Stepwise((Rule(),)).solve(mixture.denoise, x, grid)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "ancestral", "rho": -1.0}, "rho of 0 or more"),
        ({"name": "ancestral", "noise_decay": 0.0}, "above 0"),
        ({"name": "ancestral", "s_noise": -0.5}, "0 or more"),
        ({"name": "dpm++2m-sde", "rho": -1.0}, "rho of 0 or more"),
        ({"name": "edm-churn", "churn": -1.0}, "0 or more"),
        ({"name": "edm-churn", "s_min": 2.0, "s_max": 1.0}, "empty churn range"),
        ({"name": "adams", "order": 4}, "from 1 to 3"),
        ({"name": "adams", "prediction": "v"}, "unknown prediction type"),
        ({"name": "stepwise", "rules": []}, "without rules"),
        ({"name": "stepwise", "rules": [{"degree": 2}]}, "does not accept"),
        ({"name": "linear-multistep", "weights": []}, "without steps"),
        ({"name": "linear-multistep", "weights": [[0.5, 0.5]]}, "Give 1 to 1"),
        ({"name": "linear-multistep", "weights": [[1.0], [0.7, 0.2]]}, "sum to 1"),
        ({"name": "ddim", "rho": 1.0}, "does not accept"),
        ({"name": "euler", "schedule": {"name": "otflo"}}, "unknown schedule"),
        ({"name": "dmip"}, 'Did you mean "ddim"'),
    ],
)
def test_bad_parameters_are_usage_errors(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        solver_from_dict(fields)
