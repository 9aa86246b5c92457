"""Which solver walks which grid: the measured best by default, anything by request."""

from __future__ import annotations

import math
from dataclasses import dataclass

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.schedules import SCHEDULES
from molgen.flow.solvers import SOLVERS, Solver, SolverOptions, solver_named
from molgen.models.info import Ladder, ModelInfo
from molgen.names import unknown
from molgen.sampling.request import PlanOptions

FIRST_LADDER = Ladder("dpm++2m", (20.0, 4.2, 1.9, 1.0, 0.55, 0.3, 0.16, 0.07))
"""Levels (Å) for weights that were never tuned: wide enough for any molecule, low at the end."""


@dataclass(frozen=True)
class Plan:
    """A solver and the levels at which it calls the network.

    Attributes:
        solver_name: Name of the solver, for reports.
        solver: The solver.
        grid: The levels, half log-SNR.
        origin: Where the grid comes from, for reports: ``fitted`` or a schedule's name.
    """

    solver_name: str
    solver: Solver
    grid: TimeGrid
    origin: str

    @property
    def nfe(self) -> int:
        """Network calls per molecule."""
        return self.solver.nfe(self.grid.n_steps)


def default_plan(info: ModelInfo, steps: int) -> Plan:
    """The plan measured best on a model, carried over to any number of calls.

    Args:
        info: The model.
        steps: Network calls, at least 1.
    """
    ladder = info.ladders.get(steps) or stretch(_nearest(info.ladders, steps), steps)
    grid = TimeGrid.from_sigma([sigma / info.config.model.pos_scale for sigma in ladder.sigma])
    return Plan(ladder.solver, solver_named(ladder.solver), grid, "fitted")


def make_plan(info: ModelInfo, steps: int, options: PlanOptions) -> Plan:
    """The default plan with the caller's departures.

    ``--schedule`` (or ``--eta`` and ``--kappa``, which mean ISSNR) spaces the calls uniformly in
    that schedule's time; ``--solver`` replaces the solver. Steps are network calls: a solver
    that makes two calls per step takes half as many steps.

    Raises:
        UsageError: A name is unknown, eta or kappa come with another schedule than ISSNR, or
            no number of the solver's steps makes this many calls.
    """
    plan = default_plan(info, steps)
    if options.is_default:
        return plan
    name = options.schedule or ("issnr" if options.shapes_issnr else None)
    if name is not None and name not in SCHEDULES:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    if options.shapes_issnr and name != "issnr":
        raise UsageError(f"--eta and --kappa shape ISSNR, not {name}", "Use --schedule issnr")
    solver_name = options.solver or plan.solver_name
    if solver_name not in SOLVERS:
        raise UsageError(*unknown("solver", solver_name, SOLVERS))
    given = {"eta": options.eta, "kappa": options.kappa}
    schedule = SCHEDULES[name or "issnr"](**{k: v for k, v in given.items() if v is not None})
    solver = solver_named(solver_name, SolverOptions(schedule=schedule))
    n_steps = _steps_for(solver, solver_name, steps)
    if name is not None:
        return Plan(solver_name, solver, TimeGrid.uniform(schedule, n_steps), name)
    return Plan(solver_name, solver, default_plan(info, n_steps).grid, plan.origin)


def _steps_for(solver: Solver, name: str, nfe: int) -> int:
    for n_steps in range(1, nfe + 1):
        if solver.nfe(n_steps) == nfe:
            return n_steps
    nearest = max(nfe - 1, solver.nfe(1))
    raise UsageError(f"{name} cannot make exactly {nfe} network calls", f"Use --steps {nearest}")


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
