"""Time grids fitted to a denoiser: the levels that make few steps end where many would."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from molgen.flow.fit.trajectories import Problem, flat, teach
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

LIMIT = 4.0
"""Largest change of a step, as a logarithm: a factor 55 either way."""


@dataclass(frozen=True)
class Warp:
    """Stretches the steps of a grid by at most ``n_knots`` numbers; zeros stand for ``guess``.

    The first level stays, and so does a finite last one. Where the grid ends at clean data, its
    last finite level is free: that is where the network makes the prediction that is returned.
    """

    guess: TimeGrid
    n_knots: int = 6

    @property
    def size(self) -> int:
        """How many numbers are free."""
        return max(min(self.n_knots, len(self._steps)) - (not self.guess.ends_clean), 0)

    @property
    def _finite(self) -> np.ndarray:
        return np.array([level for level in self.guess.lam if math.isfinite(level)])

    @property
    def _steps(self) -> np.ndarray:
        return np.diff(self._finite)

    def grid(self, theta: np.ndarray) -> TimeGrid:
        """The grid whose steps are ``exp(theta)``, ``[size]``, times as long."""
        if self.size == 0:
            return self.guess
        finite, steps = self._finite, self._steps
        # Only ratios count if both ends are held, so one knot can stay where it is.
        knots = theta if self.guess.ends_clean else np.concatenate([[0.0], theta])
        place = np.linspace(0, 1, len(steps))
        stretch = np.interp(place, np.linspace(0, 1, len(knots)), np.clip(knots, -LIMIT, LIMIT))
        steps = steps * np.exp(stretch)
        if not self.guess.ends_clean:
            steps *= (finite[-1] - finite[0]) / steps.sum()
        levels = finite[0] + np.concatenate([[0.0], np.cumsum(steps)])
        before = (-math.inf,) if self.guess.lam[0] == -math.inf else ()
        return TimeGrid(
            (*before, *levels.tolist(), *((math.inf,) if self.guess.ends_clean else ()))
        )


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

    Minimises the mean pseudo-Huber distance of the end points by Adam (Kingma and Ba 2015, arXiv
    1412.6980) with derivatives by differences: no gradient of the network, ``size + 1`` walks of
    the batch per iteration. `search_grid` takes fewer walks for a slightly worse grid.

    Args:
        problem: Batch and network.
        solver: Solver to fit for.
        guess: Grid to start from; its first level is kept, and so is a finite last one.
        end: Where the walks should end; None asks the teacher.
        n_iterations: Number of iterations.
        n_knots: Bound on the free numbers.
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

    For scores without useful derivatives, such as the share of invalid molecules; a score must give
    one grid one number. ``n_evaluations`` bounds its calls, ``n_knots`` the free numbers.
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
