"""Monotone deformations of a time grid by a few free numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from molgen.flow.grid import TimeGrid

LIMIT = 4.0
"""Largest change of a step, as a logarithm: a factor 55 either way."""


@dataclass(frozen=True)
class Warp:
    """Stretches the steps of a grid; the first level stays, and so does a finite last one.

    Where the grid ends at clean data, its last finite level is free: that is where the network
    makes the prediction that is returned.

    Attributes:
        guess: Grid that zeros stand for.
        n_knots: At most so many numbers; steps between two knots are stretched in between.
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
        """The grid whose steps are ``exp(theta)`` times as long, before a finite end rescales them.

        Args:
            theta: Free numbers, ``[size]``.
        """
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
