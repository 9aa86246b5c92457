"""Which solver walks which grid: stored with the weights, or by request."""

from __future__ import annotations

import torch

from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Defaults, Plan, departed
from molgen.flow.plan_options import PlanOptions
from molgen.flow.schedules import ISSNR
from molgen.flow.solvers import DDIM, SOLVERS, DPMpp2M, UniPC2, UniPC3
from molgen.images.info import ImageInfo

SCHEDULE = ISSNR(eta=1.0, kappa=0.0)
"""Noise levels of a model without stored plans: evenly spaced in its time."""

CARRIED = (DDIM(), DPMpp2M(), UniPC2(), UniPC3())
"""Solvers that follow any levels, one call per step."""


def default_plan(info: ImageInfo, nfe: int) -> Plan:
    """The plan stored for this many network calls, or UniPC evenly in the default schedule."""
    stored = info.plans.get(nfe)
    if stored is not None:
        return Plan.from_dict(stored)
    return Plan(UniPC2(), TimeGrid.uniform(SCHEDULE, nfe), SCHEDULE.name)


def carried(plan: Plan, nfe: int) -> Plan:
    """A plan at another number of calls: its levels interpolated up to clean data.

    A solver that was fitted to its levels gives way to UniPC, and so does one that makes several
    calls per step.
    """
    place = torch.linspace(0, plan.grid.n_steps, nfe + 1, dtype=torch.float64)
    grid = TimeGrid(tuple(plan.grid.levels_at(place).tolist()))
    return Plan(plan.solver if plan.solver in CARRIED else UniPC2(), grid, plan.origin)


def make_plan(info: ImageInfo, nfe: int, options: PlanOptions) -> Plan:
    """The default plan with the caller's departures; steps are network calls.

    Raises:
        UsageError: A name is unknown, an option has no effect beside the others, or no number of
            the solver's steps makes this many calls.
    """

    def solver(calls: int) -> str:
        measured = default_plan(info, calls).solver.name
        return measured if measured in SOLVERS else UniPC2.name

    return departed(Defaults(info.name, lambda n: default_plan(info, n), solver), nfe, options)
