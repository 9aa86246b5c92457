"""From a model's default plans to the plan that a caller asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.grids import GRIDS, GridOptions, grid_named
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan import Plan, steps_for
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers import Solver, SolverOptions, solver_named
from molgen.names import unknown

NAMED_GRIDS: Mapping[str, Callable[[GridOptions], TimeGrid]] = MappingProxyType(
    {name: build for name, build in GRIDS.items() if "entropy" not in name}
)
"""Grids that need no measurement of a model; the others follow its error curve."""


@dataclass(frozen=True)
class Defaults:
    """What a model is sampled by unless asked otherwise.

    Attributes:
        model: Name of the model, for messages.
        plan: The plan for a number of network calls.
        solver: Name of the solver for other levels than the plan's; one that was fitted to its
            levels is no choice for others.
        curve: The model's error at each level; None where it was never measured.
    """

    model: str
    plan: Callable[[int], Plan]
    solver: Callable[[int], str]
    curve: MMSECurve | None = None


def departed(default: Defaults, nfe: int, options: PlanOptions) -> Plan:
    """The default plan with a caller's departures.

    A schedule (or ``eta`` and ``kappa``, which mean ISSNR) spaces the calls uniformly in its time,
    a grid in another way between the schedule's ends, or without a schedule between those of the
    default plan. ``solver`` replaces the solver, ``tv`` the total variance of the frame in which
    raw solvers step. A solver that makes two calls per step takes half as many steps, and the
    default levels of so many.

    Args:
        default: Plans of the model.
        nfe: Network calls.
        options: What to depart in.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """
    if nfe < 1:
        raise UsageError(f"{nfe} steps asked for", "Ask for 1 step or more")
    if options.is_default:
        return default.plan(nfe)
    schedule = _schedule(options)
    solver = _solver(default, nfe, options, schedule)
    n_steps = steps_for(solver, nfe)
    if options.grid is not None:
        origin = options.grid if schedule is None else f"{options.grid} of {_name(options)}"
        return Plan(solver, _grid(default, options, schedule, n_steps), origin)
    if schedule is not None:
        return Plan(solver, TimeGrid.uniform(schedule, n_steps), str(_name(options)))
    plan = default.plan(n_steps)
    return Plan(solver, _shifted(plan.grid, options), plan.origin)


def _name(options: PlanOptions) -> str | None:
    """Name of the schedule that is asked for."""
    return options.schedule or ("issnr" if options.shape else None)


def _schedule(options: PlanOptions) -> Schedule | None:
    """The schedule that is asked for; None leaves the levels to the default plan."""
    name = _name(options)
    if name is None:
        return None
    if name not in SCHEDULES:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    if options.shape and name != "issnr":
        raise UsageError(f"--eta and --kappa shape ISSNR, not {name}", "Use --schedule issnr")
    base = SCHEDULES[name](**options.shape)
    return base if options.shift is None else base.shift(math.log(options.shift))


def _solver(default: Defaults, nfe: int, options: PlanOptions, schedule: Schedule | None) -> Solver:
    """The solver by name, in the frame that is asked for."""
    frame = schedule or SCHEDULES["issnr"]()
    frame = frame if options.tv is None else frame.with_tv(options.tv)
    given = {} if options.rho is None else {"rho": options.rho}
    name = options.solver or default.solver(nfe)
    solver = solver_named(name, SolverOptions(schedule=frame, **given))
    known = {field.name for field in fields(solver)}  # type: ignore[arg-type]
    for option, value, field, users in (
        ("tv", options.tv, "schedule", "euler, heun, rk45"),
        ("rho", options.rho, "rho", "ancestral, dpm++2m-sde"),
    ):
        if value is not None and field not in known:
            raise UsageError(f"--{option} has no effect on {name}", f"Use it with {users}")
    return solver


def _grid(
    default: Defaults, options: PlanOptions, schedule: Schedule | None, n_steps: int
) -> TimeGrid:
    """A named grid between the ends of a schedule or of the default plan."""
    name = str(options.grid)
    if name not in GRIDS:
        raise UsageError(*unknown("grid", name, GRIDS))
    curve = None if name in NAMED_GRIDS else _curve(default, name)
    shape: dict[str, Any] = dict(options.shape)
    if curve is not None:
        shape["curve"] = curve
    if schedule is not None:
        low, high = _within(curve, TimeGrid.uniform(schedule, 1, to_data=False).lam)
        return grid_named(name, GridOptions(n_steps, low, high, schedule=schedule, **shape))
    if name == "uniform":
        raise UsageError("--grid uniform divides the time of a schedule", "Add --schedule")
    levels = _shifted(default.plan(max(n_steps, 2)).grid, options).lam
    low, high = _within(curve, (levels[0], levels[-2]))
    if n_steps == 1:
        return TimeGrid.from_sigma([high])
    # The default plan's last call stands at its lowest level, so the grid's last one does too.
    inner = grid_named(name, GridOptions(n_steps - 1, low, high, to_data=False, **shape))
    return TimeGrid((*inner.lam, math.inf))


def _shifted(grid: TimeGrid, options: PlanOptions) -> TimeGrid:
    """A grid that knows no schedule, its noise levels multiplied."""
    if options.shift is None:
        return grid
    return TimeGrid(tuple(level - math.log(options.shift) for level in grid.lam))


def _curve(default: Defaults, name: str) -> MMSECurve:
    """The model's error curve.

    Raises:
        UsageError: It was never measured.
    """
    if default.curve is None:
        raise UsageError(
            f"--grid {name} follows the error of the model at each noise level, "
            f"which was not measured for {default.model}",
            "Run python -m benchmarks error-curve on the weights, or choose another grid",
        )
    return default.curve


def _within(curve: MMSECurve | None, ends: Sequence[float]) -> tuple[float, float]:
    """Noise-to-signal ratios, small and large, of two levels, as far as the curve reaches."""
    first, last = ends
    if curve is not None:
        first, last = max(first, curve.lam[0]), min(last, curve.lam[-1])
    return math.exp(-last), math.exp(-first)
