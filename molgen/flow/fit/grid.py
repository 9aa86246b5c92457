"""Time grids fitted to a denoiser: the levels that make few steps end where many would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from molgen.flow.fit.trajectories import Problem, flat, teach
from molgen.flow.fit.warp import Warp
from molgen.flow.grid import TimeGrid
from molgen.flow.solvers.base import Solver
from molgen.flow.state import State

GridScore: TypeAlias = Callable[[TimeGrid], float]
"""How bad a grid is."""

HUBER = 0.1
"""Errors of this size, in the data's standard deviations, start to count by size, not square."""

DIFFERENCE = 0.02
"""Relative change of a step by which derivatives are taken; float32 networks resolve it."""

RATE = 0.12
"""Relative change of a step per iteration of Adam."""

SPREAD = 0.35
"""Relative change of a step between the first candidates of a derivative-free search."""


def fit_grid(
    problem: Problem,
    solver: Solver,
    guess: TimeGrid,
    *,
    end: State | None = None,
    n_iterations: int = 40,
    n_knots: int = 8,
) -> TimeGrid:
    """Bring the ends of ``solver`` near the ends of a teacher.

    Minimises the mean pseudo-Huber distance of the end points (a trajectory that ends in another
    mode counts by its distance, not its square) by Adam (Kingma and Ba 2015, arXiv 1412.6980).
    Derivatives are differences along the free steps: they ask for no gradient of the network, and
    an iteration costs ``size + 1`` walks of the batch. `search_grid` takes fewer walks for a
    slightly worse grid.

    Args:
        problem: Batch and network.
        solver: Solver to fit for.
        guess: Grid to start from; its first level is kept, and so is a finite last one.
        end: Where the walks should end; None asks the teacher.
        n_iterations: Number of iterations.
        n_knots: Bound on the free numbers.

    Returns:
        The best grid found, never worse on this batch than ``guess``.
    """
    warp = Warp(guess, n_knots)
    if warp.size == 0:
        return guess
    target = teach(problem, guess).end if end is None else end
    score = endpoint_score(problem, solver, target)
    theta = torch.zeros(warp.size, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.Adam([theta], lr=RATE, betas=(0.9, 0.99), eps=1e-12)
    best, lowest = guess, score(guess)
    for _ in range(n_iterations):
        here = score(warp.grid(theta.detach().numpy()))
        if here < lowest:
            best, lowest = warp.grid(theta.detach().numpy()), here
        moved = theta.detach() + DIFFERENCE * torch.eye(warp.size, dtype=torch.float64)
        ahead = [score(warp.grid(row.numpy())) for row in moved]
        theta.grad = (torch.tensor(ahead, dtype=torch.float64) - here) / DIFFERENCE
        descent.step()
    return best


def search_grid(
    score: GridScore, guess: TimeGrid, *, n_evaluations: int = 80, n_knots: int = 5
) -> TimeGrid:
    """Lower any score of a grid by the simplex method of Nelder and Mead (1965).

    For scores without useful derivatives, such as the share of invalid molecules. A score on a
    fixed set of starts is a function of the grid alone, so equal inputs give equal grids.

    Args:
        score: How bad a grid is; the same number whenever it is asked about the same grid.
        guess: Grid to start from.
        n_evaluations: Bound on the calls of ``score``.
        n_knots: Bound on the free numbers.

    Returns:
        The best grid that was scored.
    """
    warp = Warp(guess, n_knots)
    if warp.size == 0:
        return guess
    corners = np.vstack([np.zeros(warp.size), SPREAD * np.eye(warp.size)])
    best = minimize(
        lambda theta: score(warp.grid(theta)),
        corners[0],
        method="Nelder-Mead",
        options={"initial_simplex": corners, "maxfev": n_evaluations, "adaptive": True},
    )
    return warp.grid(best.x)


def endpoint_score(problem: Problem, solver: Solver, end: State) -> GridScore:
    """The loss that ``fit_grid`` lowers, as a score: mean pseudo-Huber distance to ``end``."""
    target = flat(end)
    return lambda grid: huber(flat(problem.solve(solver, grid)) - target)


def huber(error: Tensor) -> float:
    """Mean pseudo-Huber loss, ``c^2 (sqrt(1 + (e / c)^2) - 1)`` with ``c = HUBER``."""
    return float((HUBER**2 * (torch.sqrt(1 + (error / HUBER) ** 2) - 1)).mean())
