"""Which solver walks which grid: the measured best by default, anything by request."""

from __future__ import annotations

import math

from molgen.flow.departures import Defaults, departed
from molgen.flow.grid import TimeGrid
from molgen.flow.mmse import MMSECurve
from molgen.flow.plan import Plan
from molgen.flow.plan_options import PlanOptions
from molgen.flow.solvers import solver_named
from molgen.models.info import Ladder, ModelInfo

FIRST_LADDER = Ladder("dpm++2m", (20.0, 4.2, 1.9, 1.0, 0.55, 0.3, 0.16, 0.07))
"""Levels (Å) for weights that were never tuned: wide enough for any molecule, low at the end."""


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
    """The default plan with the caller's departures; steps are network calls.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """
    curve = None if info.mmse is None else MMSECurve(info.mmse.lam, info.mmse.mmse)
    default = Defaults(
        model=info.name,
        plan=lambda nfe: default_plan(info, nfe),
        solver=lambda nfe: _ladder(info, nfe).solver,
        curve=curve,
    )
    return departed(default, steps, options)


def _ladder(info: ModelInfo, steps: int) -> Ladder:
    return info.ladders.get(steps) or stretch(_nearest(info.ladders, steps), steps)


def _nearest(ladders: dict[int, Ladder], steps: int) -> Ladder:
    """The ladder to stretch: rather not one with a plan, which was measured at its own count."""
    if not ladders:
        return FIRST_LADDER
    plain = {count: ladder for count, ladder in ladders.items() if ladder.plan is None}
    choice = plain or ladders
    return choice[min(choice, key=lambda known: abs(math.log(known / steps)))]


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
