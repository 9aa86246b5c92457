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
from molgen.flow.state import Lead, State, append_dims, expand_like, level, map_modalities

_LEVEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Euler(Solver):
    """Euler steps of ``x' = a' x0 + b' eps``.

    Attributes:
        schedule: Gives the time and the frame (a, b) of the ODE.
    """

    schedule: Schedule
    name: ClassVar[str] = "euler"
    order: ClassVar[int] = 1

    def advance(self, step: Step, history: History) -> State:
        """One step along the velocity at the latest evaluation."""
        start = history[0]

        def move(lead: Lead, x: Tensor, x0: Tensor) -> Tensor:
            here = Instant.at_level(self.schedule, level(lead, start.lam))
            there = Instant.at_level(self.schedule, level(lead, step.lam))
            return land(here, there, x, x0, (there.t - here.t, velocity(here, x, x0)))

        return map_modalities(move, start.x, start.x0, offsets=step.offsets)


@dataclass(frozen=True)
class Heun(Euler):
    """Heun's trapezoidal steps, the last one Euler: 2 n_steps - 1 network calls."""

    name: ClassVar[str] = "heun"
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

        def move(lead: Lead, x: Tensor, x0: Tensor, x_s: Tensor, x0_s: Tensor) -> Tensor:
            here = Instant.at_level(self.schedule, level(lead, start.lam))
            there = Instant.at_level(self.schedule, level(lead, step.lam))
            half = 0.5 * (there.t - here.t)
            ends = (half, velocity(here, x, x0)), (half, velocity(there, x_s, x0_s))
            return land(here, there, x, x0, *ends)

        return map_modalities(move, start.x, start.x0, ahead, end_x0, offsets=step.offsets)


@dataclass(frozen=True)
class Instant:
    """A time of a schedule per row, with its coefficients, all float64.

    Attributes:
        t: Time; any time of the schedule in rows of clean data.
        at: Coefficients at ``t``.
        noisy: Whether the row is not clean data.
    """

    t: Tensor
    at: Coefficients
    noisy: Tensor

    @classmethod
    def at_level(cls, schedule: Schedule, lam: Tensor) -> Instant:
        """The time at which a schedule has half-log-SNR ``lam``.

        Raises:
            UsageError: The schedule never reaches a level.
        """
        noisy = lam < torch.inf
        middle = torch.tensor(0.5 * (schedule.t_min + schedule.t_max), dtype=torch.float64)
        wanted = torch.where(noisy, lam, schedule.lam(middle))
        t = schedule.t_of_lam(wanted)
        at = schedule.coefficients(t)
        reached = (at.lam - wanted).abs() <= _LEVEL_TOLERANCE * (1 + wanted.abs())
        if not reached.all():
            missed = float(wanted[~reached].flatten()[0])
            if missed == -torch.inf:
                raise UsageError(
                    "euler, heun and rk45 cannot start at pure noise, where slopes are infinite",
                    "Start at a finite level, or use the solver 'ddim' or 'unipc2'",
                )
            raise UsageError(
                f"the solver's schedule does not reach half-log-SNR {missed:.3g}",
                "Use a time grid of the same schedule, or the solver 'ddim'",
            )
        return cls(t, at, noisy)


def velocity(here: Instant, x: Tensor, x0: Tensor) -> Tensor:
    """Velocity ``a' x0 + b' eps`` in the schedule's frame; ``x`` is in the unit frame."""
    a, b = unit_tv(here.at.lam)
    per_noise = here.at.db / b
    return expand_like(per_noise, x) * x + expand_like(here.at.da - per_noise * a, x) * x0


def land(
    here: Instant, there: Instant, x: Tensor, x0: Tensor, *slopes: tuple[Tensor, Tensor]
) -> Tensor:
    """Straight step in the schedule's frame, from the unit frame to the unit frame.

    Args:
        here: Start of the step.
        there: End of the step.
        x: State at the start.
        x0: Prediction there, where rows that end at clean data land.
        slopes: Durations and velocities to add up.
    """
    moved = expand_like(here.at.tau / there.at.tau, x) * x
    for duration, slope in slopes:
        moved = moved + expand_like(duration / there.at.tau, x) * slope
    clean = torch.where(append_dims(here.noisy, x), x0, x)
    return torch.where(append_dims(there.noisy, x), moved, clean)
