"""Raw solvers of the probability-flow ODE in the schedule's own units and time.

Unlike the exponential solvers these see the total variance of the schedule: that is what they
are for, the baselines of Kahouli et al. 2025 (arXiv 2502.08598).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Coefficients, Schedule, unit_tv
from molgen.flow.solvers.base import History, Solver, Step
from molgen.flow.state import State, map_modalities

_LEVEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Euler(Solver):
    """Euler steps of ``x' = a' x0 + b' eps``.

    Attributes:
        schedule: Gives the time and the frame (a, b) of the ODE.
    """

    schedule: Schedule
    order: ClassVar[int] = 1

    def advance(self, step: Step, history: History) -> State:
        """One step along the velocity at the latest evaluation."""
        start = history[0]

        def move(lead: float, x: Tensor, x0: Tensor) -> Tensor:
            here, there = self._span(start.lam + lead, step.lam + lead)
            return _land(here, there, x, _velocity(here, x, x0))

        return map_modalities(move, start.x, start.x0, offsets=step.offsets)

    def _span(self, lam_t: float, lam_s: float) -> tuple[_Instant, _Instant]:
        """Both ends of a step in the schedule's frame."""
        return self._instant(lam_t), self._instant(lam_s)

    def _instant(self, lam: float) -> _Instant:
        """Time and coefficients at one level.

        Raises:
            UsageError: The schedule never reaches the level.
        """
        t = self.schedule.t_of_lam(torch.tensor(lam, dtype=torch.float64))
        at = self.schedule.coefficients(t)
        if not abs(float(at.lam) - lam) <= _LEVEL_TOLERANCE * (1 + abs(lam)):
            raise UsageError(
                f"the solver's schedule does not reach half-log-SNR {lam:.3g}",
                "Use a time grid of the same schedule, or the solver 'ddim'",
            )
        return _Instant(t, at)


@dataclass(frozen=True)
class Heun(Euler):
    """Heun's trapezoidal steps, the last one Euler: 2 n_steps - 1 network calls."""

    order: ClassVar[int] = 2

    def nfe(self, n_steps: int) -> int:
        """Two calls per step, one in the last."""
        return 2 * n_steps - 1

    def advance(self, step: Step, history: History) -> State:
        """An Euler step, then the mean of the velocities at its two ends."""
        ahead = super().advance(step, history)
        if step.is_last:
            return ahead
        start = history[0]
        end_x0 = step.denoise(ahead, torch.tensor(step.lam, dtype=torch.float64))

        def move(lead: float, x: Tensor, x0: Tensor, x_s: Tensor, x0_s: Tensor) -> Tensor:
            here, there = self._span(start.lam + lead, step.lam + lead)
            mean = 0.5 * (_velocity(here, x, x0) + _velocity(there, x_s, x0_s))
            return _land(here, there, x, mean)

        return map_modalities(move, start.x, start.x0, ahead, end_x0, offsets=step.offsets)


@dataclass(frozen=True)
class _Instant:
    """A time of the schedule and its coefficients, float64 scalars."""

    t: Tensor
    at: Coefficients


def _velocity(here: _Instant, x: Tensor, x0: Tensor) -> Tensor:
    """Velocity ``a' x0 + b' eps`` in the schedule's frame; ``x`` is in the unit frame."""
    a, b = unit_tv(here.at.lam)
    return here.at.da * x0 + here.at.db * (x - a * x0) / b


def _land(here: _Instant, there: _Instant, x: Tensor, velocity: Tensor) -> Tensor:
    """Straight step in the schedule's frame, from the unit frame to the unit frame."""
    return (here.at.tau * x + (there.t - here.t) * velocity) / there.at.tau
