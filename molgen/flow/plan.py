"""A plan: which solver follows which grid. Stored with a model, or made of a caller's options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.grid import GRIDS, GridOptions, TimeGrid, grid_named
from molgen.flow.input_scale import InputScale, check_input_scale
from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers.base import Denoiser, Solver
from molgen.flow.solvers.table import solver_from_dict, solver_named, solver_to_dict


def steps_within(solver: Solver, nfe: int) -> int | None:
    """The most steps that cost at most ``nfe`` network calls; None if the fewest cost more."""
    possible = range(solver.min_steps, nfe + 1)
    return max((n for n in possible if solver.nfe(n) <= nfe), default=None)


def steps_for(solver: Solver, nfe: int) -> int:
    """The number of steps that costs exactly ``nfe`` network calls; a UsageError if none does."""
    n_steps = steps_within(solver, nfe)
    if n_steps is not None and solver.nfe(n_steps) == nfe:
        return n_steps
    nearest = solver.nfe(solver.min_steps if n_steps is None else n_steps)
    calls = f"{solver.name} cannot make exactly {nfe} network calls"
    raise UsageError(calls, f"Use --steps {nearest}")


@dataclass(frozen=True)
class Plan:
    """A solver and the levels at which it calls the network.

    Attributes:
        solver: The solver.
        grid: The levels, half-log-SNR.
        origin: Where the two come from, for reports: ``"fitted"`` or a schedule's name.
        input_scale: Total standard deviation at which each call is made
            (`molgen.flow.input_scale`), for a solver whose steps are one call each; None keeps to
            the process, which has 1.
        logit_bias: What is added to the log-probabilities of classes in every estimate, for such
            a solver.

    Raises:
        UsageError: The solver cannot follow the grid, or has no calls for the other two.
    """

    solver: Solver
    grid: TimeGrid
    origin: str = ""
    input_scale: tuple[float, ...] | None = None
    logit_bias: LogitBias = NO_LOGIT_BIAS

    def __post_init__(self) -> None:
        self.solver.check(self.grid)
        for name in ("input_scale", "logit_bias"):
            if getattr(self, name) and not self.solver.jumps:
                wrong = f"{self.solver.name} has no single call per step"
                raise UsageError(wrong, f"Leave out {name}")
        if self.input_scale is not None:
            check_input_scale(self.input_scale, self.grid)

    def called(self, denoise: Denoiser, modality: str = "") -> Denoiser:
        """The network as this plan calls it; arguments as of `InputScale`."""
        if self.input_scale is None:
            return denoise
        return InputScale(denoise, self.grid, self.input_scale, modality)

    def plain(self) -> Plan:
        """The same calls, at the total variance of the process and with classes as they are."""
        return replace(self, input_scale=None, logit_bias=NO_LOGIT_BIAS)

    @property
    def nfe(self) -> int:
        """Network calls per sample."""
        return self.solver.nfe(self.grid.n_steps)

    @property
    def jumps(self) -> TimeGrid | None:
        """The grid, for a network that is told where its steps end; None if calls are shared."""
        return self.grid if self.solver.jumps else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        grid, solver = self.grid.to_dict(), solver_to_dict(self.solver)
        scale = {} if self.input_scale is None else {"input_scale": list(self.input_scale)}
        bias = {"logit_bias": self.logit_bias.to_dict()} if self.logit_bias else {}
        return {"solver": solver, "grid": grid, "origin": self.origin, **scale, **bias}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Plan:
        """Plan from its JSON form.

        Raises:
            UsageError: Missing or wrong fields, or a solver that cannot follow the grid.
        """
        try:
            solver, grid = dict(tree["solver"]), dict(tree["grid"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("a stored plan needs 'solver' and 'grid' tables") from error
        scale = None if tree.get("input_scale") is None else tuple(map(float, tree["input_scale"]))
        bias, origin = LogitBias.from_dict(tree.get("logit_bias")), str(tree.get("origin", ""))
        return cls(solver_from_dict(solver), TimeGrid.from_dict(grid), origin, scale, bias)


# ------------------------------------------------------------------------ a caller's options

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
        solver: Name of the solver for other levels than the plan's.
        curve: The model's error at each level; None where it was never measured.
    """

    model: str
    plan: Callable[[int], Plan]
    solver: Callable[[int], str]
    curve: MMSECurve | None = None


def departed(default: Defaults, nfe: int, options: PlanOptions) -> Plan:
    """The default plan with a caller's departures; ``nfe`` is the number of network calls.

    A schedule (or ``eta`` and ``kappa``, which mean ISSNR) spaces the calls uniformly in its time,
    a grid in another way between the schedule's ends, or without a schedule between those of the
    default plan. A solver that makes two calls per step takes half as many steps, and the default
    levels of so many.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """
    if nfe < 1:
        raise UsageError(f"{nfe} steps asked for", "Ask for 1 step or more")
    if options.is_default:
        return default.plan(nfe)
    schedule, name = _schedule(options), options.schedule_name
    solver = _solver(default, nfe, options, schedule)
    n_steps = steps_for(solver, nfe)
    if options.grid is not None:
        origin = options.grid if schedule is None else f"{options.grid} of {name}"
        return Plan(solver, _grid(default, options, schedule, n_steps), origin)
    if schedule is not None:
        return Plan(solver, TimeGrid.uniform(schedule, n_steps), str(name))
    plan = default.plan(n_steps)
    return Plan(solver, _shifted(plan.grid, options), plan.origin)


def _schedule(options: PlanOptions) -> Schedule | None:
    """The schedule that is asked for; None leaves the levels to the default plan."""
    name = options.schedule_name
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
    solver = solver_named(name, schedule=frame, **given)
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
    shape: dict[str, Any] = {**options.shape, "curve": curve}
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
    """The model's error curve; a UsageError if it was never measured."""
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
