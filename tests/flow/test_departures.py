"""What a caller asks for, against the plans that a model has."""

from __future__ import annotations

import math

import pytest

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import NAMED_GRIDS, Defaults, Plan, departed
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedules import ISSNR, SCHEDULES
from molgen.flow.solvers import SOLVERS, DPMpp2M, Euler, Heun, LinearMultistep, UniPC2

HIGH, LOW = 8.0, 0.1


def default(nfe: int) -> Plan:
    """Levels that tell how many were asked for."""
    if nfe == 1:
        return Plan(DPMpp2M(), TimeGrid.from_sigma([HIGH]), "fitted")
    inner = TimeGrid.log_snr(LOW, HIGH, nfe - 1, to_data=False)
    return Plan(DPMpp2M(), TimeGrid((*inner.lam, math.inf)), "fitted")


DEFAULTS = Defaults("toy", default, lambda _: "dpm++2m")


def test_no_departure_is_the_default() -> None:
    assert departed(DEFAULTS, 5, PlanOptions()) == default(5)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("nfe", [5, 9])
def test_steps_are_network_calls_on_the_default_levels_of_so_many(solver: str, nfe: int) -> None:
    try:
        plan = departed(DEFAULTS, nfe, PlanOptions(solver=solver))
    except UsageError as error:
        assert "cannot make exactly" in str(error)  # noqa: PT017
        return
    assert plan.nfe == nfe
    assert plan.grid == default(plan.grid.n_steps).grid
    assert plan.origin == "fitted"


def test_two_calls_a_step_take_half_the_steps() -> None:
    plan = departed(DEFAULTS, 5, PlanOptions(solver="heun"))
    assert isinstance(plan.solver, Heun)
    assert plan.grid == default(3).grid
    with pytest.raises(UsageError, match="Use --steps 3"):
        departed(DEFAULTS, 4, PlanOptions(solver="heun"))


def test_a_schedule_brings_its_levels_and_the_default_solver() -> None:
    plan = departed(DEFAULTS, 4, PlanOptions(schedule="cosine"))
    assert plan == Plan(DPMpp2M(), TimeGrid.uniform(SCHEDULES["cosine"](), 4), "cosine")
    shaped = departed(DEFAULTS, 4, PlanOptions(eta=1.5, kappa=0.5, solver="euler", tv="ve"))
    schedule = ISSNR(eta=1.5, kappa=0.5)
    assert shaped.grid == TimeGrid.uniform(schedule, 4)
    assert shaped.solver == Euler(schedule.with_tv("ve"))


@pytest.mark.parametrize("name", sorted(set(NAMED_GRIDS) - {"uniform"}))
@pytest.mark.parametrize("nfe", [1, 2, 6])
def test_a_grid_keeps_the_ends_of_the_default(name: str, nfe: int) -> None:
    plan = departed(DEFAULTS, nfe, PlanOptions(grid=name))
    levels = [math.exp(-lam) for lam in plan.grid.lam]
    assert len(levels) == nfe + 1
    assert levels[0] == pytest.approx(HIGH)
    assert levels[-1] == 0
    if nfe > 1:
        assert levels[-2] == pytest.approx(LOW)


def test_a_fitted_solver_stays_on_its_own_levels() -> None:
    fitted = Plan(LinearMultistep(((1.0,), (1.2, -0.2), (1.0,))), default(3).grid, "fitted")
    defaults = Defaults("toy", lambda _: fitted, lambda _: "unipc2")
    assert departed(defaults, 3, PlanOptions(grid="karras")).solver == UniPC2()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (PlanOptions(solver="eulr"), 'Did you mean "euler"'),
        (PlanOptions(schedule="cosin"), 'Did you mean "cosine"'),
        (PlanOptions(grid="kerras"), 'Did you mean "karras"'),
        (PlanOptions(grid="entropy"), "was not measured for toy"),
        (PlanOptions(grid="uniform"), "Add --schedule"),
        (PlanOptions(schedule="smld", eta=1.0), "shape ISSNR, not smld"),
        (PlanOptions(tv="ve"), "no effect on dpm"),
        (PlanOptions(rho=0.5), "no effect on dpm"),
    ],
)
def test_departures_that_cannot_be(wish: PlanOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        departed(DEFAULTS, 4, wish)


def test_no_calls_make_nothing() -> None:
    with pytest.raises(UsageError, match="Ask for 1"):
        departed(DEFAULTS, 0, PlanOptions())
