"""Which solver walks which grid: the measured best by default, anything by request."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.grids import GRIDS, GridOptions, grid_named
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan import Plan, steps_for
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers import Solver, SolverOptions, solver_named
from molgen.models.info import Ladder, ModelInfo
from molgen.names import unknown
from molgen.sampling.request import PlanOptions

FIRST_LADDER = Ladder("dpm++2m", (20.0, 4.2, 1.9, 1.0, 0.55, 0.3, 0.16, 0.07))
"""Levels (Å) for weights that were never tuned: wide enough for any molecule, low at the end."""

NAMED_GRIDS: Mapping[str, Callable[[GridOptions], TimeGrid]] = MappingProxyType(
    {name: build for name, build in GRIDS.items() if "entropy" not in name}
)
"""Grids that need no measurement of a model; the others follow its error curve."""


def default_plan(info: ModelInfo, steps: int) -> Plan:
    """The plan measured best on a model, carried over to any number of calls.

    Args:
        info: The model.
        steps: Network calls, at least 1.
    """
    ladder = _ladder(info, steps)
    if ladder.plan is not None:
        return Plan.from_dict(ladder.plan)
    grid = TimeGrid.from_sigma([sigma / info.config.model.pos_scale for sigma in ladder.sigma])
    return Plan(solver_named(ladder.solver), grid, "fitted")


def make_plan(info: ModelInfo, steps: int, options: PlanOptions) -> Plan:
    """The default plan with the caller's departures.

    ``--schedule`` (or ``--eta`` and ``--kappa``, which mean ISSNR) spaces the calls uniformly in
    that schedule's time, ``--grid`` in another way between the schedule's ends, or without a
    schedule between those of the default plan. ``--solver`` replaces the solver, ``--tv`` the
    total variance of the frame in which raw solvers step. Steps are network calls: a solver that
    makes two calls per step takes half as many steps.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """
    if options.is_default:
        return default_plan(info, steps)
    schedule = _schedule(options)
    frame = schedule or SCHEDULES["issnr"]()
    given = {} if options.rho is None else {"rho": options.rho}
    frame = frame if options.tv is None else frame.with_tv(options.tv)
    # A solver that was fitted to its grid is no choice for another grid; its ladder names one.
    name = options.solver or _ladder(info, steps).solver
    solver = solver_named(name, SolverOptions(schedule=frame, **given))
    _check_effect("tv", options.tv, solver, name, field="schedule", known="euler, heun, rk45")
    _check_effect("rho", options.rho, solver, name, field="rho", known="ancestral, dpm++2m-sde")
    n_steps = steps_for(solver, steps)
    if options.grid is not None:
        origin = options.grid if schedule is None else f"{options.grid} of {_name(options)}"
        return Plan(solver, _grid(info, options, schedule, n_steps), origin)
    if schedule is not None:
        return Plan(solver, TimeGrid.uniform(schedule, n_steps), str(_name(options)))
    # The grid is the ladder's own even where a stored plan departs from it.
    default = default_plan(info, n_steps)
    return Plan(solver, _shifted(default.grid, options), default.origin)


def _schedule(options: PlanOptions) -> Schedule | None:
    """The schedule that is asked for; None leaves the levels to the default plan."""
    name = _name(options)
    if name is None:
        return None
    if name not in SCHEDULES:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    if options.shapes_issnr and name != "issnr":
        raise UsageError(f"--eta and --kappa shape ISSNR, not {name}", "Use --schedule issnr")
    given = {"eta": options.eta, "kappa": options.kappa}
    base = SCHEDULES[name](**{key: value for key, value in given.items() if value is not None})
    return base if options.shift is None else base.shift(math.log(options.shift))


def _name(options: PlanOptions) -> str | None:
    """Name of the schedule that is asked for."""
    return options.schedule or ("issnr" if options.shapes_issnr else None)


def _shifted(grid: TimeGrid, options: PlanOptions) -> TimeGrid:
    """A grid that knows no schedule, its noise levels multiplied."""
    if options.shift is None:
        return grid
    return TimeGrid(tuple(level - math.log(options.shift) for level in grid.lam))


def _grid(
    info: ModelInfo, options: PlanOptions, schedule: Schedule | None, n_steps: int
) -> TimeGrid:
    """A named grid between the ends of a schedule or of the default plan."""
    name = str(options.grid)
    if name not in GRIDS:
        raise UsageError(*unknown("grid", name, GRIDS))
    curve = None if name in NAMED_GRIDS else _curve(info, name)
    shape: dict[str, Any] = {"eta": options.eta, "kappa": options.kappa, "curve": curve}
    shape = {key: value for key, value in shape.items() if value is not None}
    if schedule is not None:
        low, high = _within(curve, TimeGrid.uniform(schedule, 1, to_data=False).lam)
        return grid_named(name, GridOptions(n_steps, low, high, schedule=schedule, **shape))
    if name == "uniform":
        raise UsageError("--grid uniform divides the time of a schedule", "Add --schedule")
    levels = _shifted(default_plan(info, max(n_steps, 2)).grid, options).lam
    low, high = _within(curve, (levels[0], levels[-2]))
    if n_steps == 1:
        return TimeGrid.from_sigma([high])
    # The default plan's last call stands at its lowest level, so the grid's last one does too.
    inner = grid_named(name, GridOptions(n_steps - 1, low, high, to_data=False, **shape))
    return TimeGrid((*inner.lam, math.inf))


def _curve(info: ModelInfo, name: str) -> MMSECurve:
    """The model's error curve.

    Raises:
        UsageError: It was never measured.
    """
    if info.mmse is None:
        raise UsageError(
            f"--grid {name} follows the error of the model at each noise level, "
            f"which was not measured for {info.name}",
            "Run scripts/measure_mmse.py on the weights, or choose another grid",
        )
    return MMSECurve(info.mmse.lam, info.mmse.mmse)


def _within(curve: MMSECurve | None, ends: Sequence[float]) -> tuple[float, float]:
    """Noise-to-signal ratios, small and large, of two levels, as far as the curve reaches."""
    first, last = ends
    if curve is not None:
        first, last = max(first, curve.lam[0]), min(last, curve.lam[-1])
    return math.exp(-last), math.exp(-first)


def _check_effect(
    option: str, value: object, solver: Solver, name: str, *, field: str, known: str
) -> None:
    """Reject an option that the solver does not have.

    Raises:
        UsageError: The option is given and the solver ignores it.
    """
    if value is not None and field not in {one.name for one in fields(solver)}:  # type: ignore[arg-type]
        raise UsageError(f"--{option} has no effect on {name}", f"Use it with {known}")


def _ladder(info: ModelInfo, steps: int) -> Ladder:
    return info.ladders.get(steps) or stretch(_nearest(info.ladders, steps), steps)


def _nearest(ladders: dict[int, Ladder], steps: int) -> Ladder:
    if not ladders:
        return FIRST_LADDER
    return ladders[min(ladders, key=lambda known: abs(math.log(known / steps)))]


def stretch(ladder: Ladder, steps: int) -> Ladder:
    """The same range of levels with another number of calls, interpolated in log sigma."""
    logs = [math.log(sigma) for sigma in ladder.sigma]
    if len(logs) == 1:
        logs = [logs[0], math.log(0.05)]
    if steps == 1:
        return Ladder(ladder.solver, (math.exp(logs[0]),))
    levels = []
    for index in range(steps):
        place = index * (len(logs) - 1) / (steps - 1)
        low = min(int(place), len(logs) - 2)
        levels.append(math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low])))
    return Ladder(ladder.solver, tuple(levels))
