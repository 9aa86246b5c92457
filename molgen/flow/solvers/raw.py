"""Raw solvers of the probability-flow ODE in the schedule's own units and time.

Unlike the exponential solvers these see the total variance of the schedule: that is what they
are for, the baselines of Kahouli et al. 2025 (arXiv 2502.08598).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Coefficients, Schedule, unit_tv
from molgen.flow.solvers.base import History, Solver, Step
from molgen.flow.state import Lead, State, append_dims, expand_like, level, map_modalities

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

_LEVEL_TOLERANCE = 1e-6
_NUDGE = 1e-4

_STAGES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (1 / 5, (1 / 5,)),
    (3 / 10, (3 / 40, 9 / 40)),
    (4 / 5, (44 / 45, -56 / 15, 32 / 9)),
    (8 / 9, (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729)),
    (1.0, (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656)),
)
"""Dormand and Prince: place of each further stage and its weights of the slopes before it."""

_WEIGHTS = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)


@dataclass(frozen=True)
class Euler(Solver):
    """Euler steps of ``x' = a' x0 + b' eps`` in the time and the frame (a, b) of a schedule."""

    schedule: Schedule
    name: ClassVar[str] = "euler"
    order: ClassVar[int] = 1

    def advance(self, step: Step, history: History) -> State:
        start = history[0]

        def move(lead: Lead, x: Tensor, x0: Tensor) -> Tensor:
            here = _Instant.at_level(self.schedule, level(lead, start.lam))
            there = _Instant.at_level(self.schedule, level(lead, step.lam))
            return _land(here, there, x, x0, (there.t - here.t, _velocity(here, x, x0)))

        return map_modalities(move, start.x, start.x0, offsets=step.offsets)


@dataclass(frozen=True)
class Heun(Euler):
    """Heun's trapezoidal steps, the last one Euler: 2 n_steps - 1 network calls."""

    name: ClassVar[str] = "heun"
    order: ClassVar[int] = 2

    def nfe(self, n_steps: int) -> int:
        return 2 * n_steps - 1

    def advance(self, step: Step, history: History) -> State:
        """An Euler step, then the mean of the velocities at its two ends."""
        ahead = super().advance(step, history)
        if step.is_last:
            return ahead
        start = history[0]
        end_x0 = step.denoise(ahead, torch.tensor(step.lam, dtype=torch.float64))

        def move(lead: Lead, x: Tensor, x0: Tensor, x_s: Tensor, x0_s: Tensor) -> Tensor:
            here = _Instant.at_level(self.schedule, level(lead, start.lam))
            there = _Instant.at_level(self.schedule, level(lead, step.lam))
            half = 0.5 * (there.t - here.t)
            ends = (half, _velocity(here, x, x0)), (half, _velocity(there, x_s, x0_s))
            return _land(here, there, x, x0, *ends)

        return map_modalities(move, start.x, start.x0, ahead, end_x0, offsets=step.offsets)


@dataclass(frozen=True)
class RK45(Euler):
    """Fifth-order Runge-Kutta steps of fixed size (Dormand and Prince 1980).

    Six network calls per step: the method's seventh stage, which is the next step's first, only
    serves an error estimate that fixed steps do not need.

    Attributes:
        lower_order_final: Take the last step with Euler, at one call; a grid that ends at clean
            data needs it.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "rk45"
    order: ClassVar[int] = 5
    memory: ClassVar[int] = 1

    def nfe(self, n_steps: int) -> int:
        return 6 * n_steps - 5 * self.lower_order_final

    def check(self, grid: TimeGrid) -> None:
        """Reject a step to clean data where the schedule's time may have no slope."""
        super().check(grid)
        if math.isinf(grid.lam[-1]) and not self.lower_order_final:
            raise UsageError(
                "rk45 cannot take the step to clean data at order 5",
                "Use lower_order_final=True or a last level of finite log-SNR",
            )

    def advance(self, step: Step, history: History) -> State:
        """Six stages; leads are followed along the step in the main level's time."""
        if step.is_last and self.lower_order_final:
            return super().advance(step, history)
        now = history[0]
        ends = torch.tensor([now.lam, step.lam], dtype=torch.float64)
        t, s = _Instant.at_level(self.schedule, ends).t
        slopes = [self._slope(step, now.lam, now.x, now.x0)]
        for place, weights in _STAGES:
            lam = float(self.schedule.lam(t + place * (s - t))) if place < 1 else step.lam
            x = self._stage(
                step, history, lam, (s - t) * torch.tensor(weights, dtype=torch.float64), slopes
            )
            x0 = step.denoise(x, torch.tensor(lam, dtype=torch.float64))
            slopes.append(self._slope(step, lam, x, x0))
        return self._stage(
            step, history, step.lam, (s - t) * torch.tensor(_WEIGHTS, dtype=torch.float64), slopes
        )

    def _stage(
        self, step: Step, history: History, lam: float, durations: Tensor, slopes: list[State]
    ) -> State:
        """State at main level ``lam``, moved along the slopes so far."""
        now = history[0]

        def move(lead: Lead, x: Tensor, x0: Tensor, *known: Tensor) -> Tensor:
            here = _Instant.at_level(self.schedule, level(lead, now.lam))
            there = _Instant.at_level(self.schedule, level(lead, lam))
            return _land(here, there, x, x0, *zip(durations, known, strict=True))

        return map_modalities(move, now.x, now.x0, *slopes, offsets=step.offsets)

    def _slope(self, step: Step, lam: float, x: State, x0: State) -> State:
        """Velocity in the schedule's frame per unit of the main level's time."""
        main = _Instant.at_level(self.schedule, torch.tensor(lam, dtype=torch.float64))

        def per_time(lead: Lead, x_t: Tensor, clean: Tensor) -> Tensor:
            here = _Instant.at_level(self.schedule, level(lead, lam))
            rate = torch.where(here.noisy, _rate(lead, lam) * main.at.dlam / here.at.dlam, 0.0)
            return expand_like(rate, x_t) * _velocity(here, x_t, clean)

        return map_modalities(per_time, x, x0, offsets=step.offsets)


@dataclass(frozen=True)
class _Instant:
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
    def at_level(cls, schedule: Schedule, lam: Tensor) -> _Instant:
        """The time at which a schedule has half-log-SNR ``lam``; a UsageError if it never has."""
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


def _velocity(here: _Instant, x: Tensor, x0: Tensor) -> Tensor:
    """Velocity ``a' x0 + b' eps`` in the schedule's frame; ``x`` is in the unit frame."""
    a, b = unit_tv(here.at.lam)
    per_noise = here.at.db / b
    return expand_like(per_noise, x) * x + expand_like(here.at.da - per_noise * a, x) * x0


def _land(
    here: _Instant, there: _Instant, x: Tensor, x0: Tensor, *slopes: tuple[Tensor, Tensor]
) -> Tensor:
    """Straight step in the schedule's frame, from the unit frame to the unit frame.

    Adds up durations times velocities; rows that end at clean data land at the prediction ``x0``.
    """
    moved = expand_like(here.at.tau / there.at.tau, x) * x
    for duration, slope in slopes:
        moved = moved + expand_like(duration / there.at.tau, x) * slope
    clean = torch.where(append_dims(here.noisy, x), x0, x)
    return torch.where(append_dims(there.noisy, x), moved, clean)


def _rate(lead: Lead, lam: float) -> Tensor:
    """Slope of a modality's level against the main one, 1 but for clocks; 0 where clean."""
    if isinstance(lead, Tensor) or not callable(lead):
        return torch.ones((), dtype=torch.float64)
    slope = (level(lead, lam + _NUDGE) - level(lead, lam - _NUDGE)) / (2 * _NUDGE)
    return torch.where(torch.isfinite(slope), slope, 0.0)
