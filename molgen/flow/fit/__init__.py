"""Fits of grids, solvers and whole plans to a denoiser, with a fine solver as teacher."""

from __future__ import annotations

from molgen.flow.fit.grid import GridScore, endpoint_score, fit_grid, search_grid
from molgen.flow.fit.plan import Effort, PlanScore, first_guesses, search_plan, successive_halving
from molgen.flow.fit.solver import fit_solver
from molgen.flow.fit.trajectories import Problem, Trajectories, mmse_curve, teach

__all__ = [
    "Effort",
    "GridScore",
    "PlanScore",
    "Problem",
    "Trajectories",
    "endpoint_score",
    "first_guesses",
    "fit_grid",
    "fit_solver",
    "mmse_curve",
    "search_grid",
    "search_plan",
    "successive_halving",
    "teach",
]
