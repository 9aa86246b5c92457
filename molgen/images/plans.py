"""Which solver walks which grid: stored with the weights, or by request."""

from __future__ import annotations

from dataclasses import dataclass

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan, steps_for
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import ISSNR, SCHEDULES
from molgen.flow.solvers import Euler, SolverOptions, UniPC2, solver_named
from molgen.images.info import ImageInfo
from molgen.names import unknown

SCHEDULE = ISSNR(eta=1.0, kappa=0.0)
"""Noise levels of sampling unless the caller departs from them: evenly spaced in its time."""


@dataclass(frozen=True)
class PlanRequest:
    """What a caller asks of the plan; None leaves it to the model.

    Attributes:
        solver: Name of a solver.
        schedule: Name of a schedule, whose time is divided evenly.
        tv: Name of a total variance: the frame of the raw solvers: Euler, Heun, RK45.
    """

    solver: str | None = None
    schedule: str | None = None
    tv: str | None = None


def default_plan(info: ImageInfo, nfe: int) -> Plan:
    """The plan stored for this many network calls, or UniPC evenly in the default schedule."""
    stored = info.plans.get(nfe)
    if stored is not None:
        return Plan.from_dict(stored)
    return Plan(UniPC2(), TimeGrid.uniform(SCHEDULE, nfe), SCHEDULE.name)


def make_plan(info: ImageInfo, nfe: int, request: PlanRequest) -> Plan:
    """The default plan with the caller's departures; steps are network calls.

    Raises:
        UsageError: A name is unknown, a total variance has no effect on the solver, or no number
            of its steps makes this many calls.
    """
    if nfe < 1:
        raise UsageError(f"{nfe} steps asked for", "Ask for 1 step or more")
    if request == PlanRequest():
        return default_plan(info, nfe)
    schedule = _schedule(request)
    solver = solver_named(request.solver or UniPC2.name, SolverOptions(schedule=schedule))
    if request.tv is not None and not isinstance(solver, Euler):
        hint = "Use it with --solver euler, heun or rk45"
        raise UsageError(f"--tv has no effect on {solver.name}", hint)
    n_steps = steps_for(solver, nfe)
    if request.schedule is None and nfe in info.plans and n_steps == nfe:
        return Plan(solver, default_plan(info, nfe).grid, "fitted")
    origin = request.schedule or SCHEDULE.name
    return Plan(solver, TimeGrid.uniform(schedule, n_steps), origin)


def _schedule(request: PlanRequest) -> Schedule:
    if request.schedule is not None and request.schedule not in SCHEDULES:
        raise UsageError(*unknown("schedule", request.schedule, SCHEDULES))
    schedule = SCHEDULE if request.schedule is None else SCHEDULES[request.schedule]()
    return schedule if request.tv is None else schedule.with_tv(request.tv)
