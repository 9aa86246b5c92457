"""Dormand and Prince's Runge-Kutta method with fixed steps, in the schedule's frame and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Step
from molgen.flow.solvers.frame import Euler, Instant, land, velocity
from molgen.flow.state import Lead, State, expand_like, level, map_modalities

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

_STAGES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (1 / 5, (1 / 5,)),
    (3 / 10, (3 / 40, 9 / 40)),
    (4 / 5, (44 / 45, -56 / 15, 32 / 9)),
    (8 / 9, (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729)),
    (1.0, (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656)),
)
"""Place of each further stage in the step and its weights of the slopes before it."""

_WEIGHTS = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)

_NUDGE = 1e-4


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

    @property
    def memory(self) -> int:
        """The latest call."""
        return 1

    def nfe(self, n_steps: int) -> int:
        """Six calls per step, one in an Euler step."""
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
        t, s = Instant.at_level(self.schedule, ends).t
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
            here = Instant.at_level(self.schedule, level(lead, now.lam))
            there = Instant.at_level(self.schedule, level(lead, lam))
            return land(here, there, x, x0, *zip(durations, known, strict=True))

        return map_modalities(move, now.x, now.x0, *slopes, offsets=step.offsets)

    def _slope(self, step: Step, lam: float, x: State, x0: State) -> State:
        """Velocity in the schedule's frame per unit of the main level's time."""
        main = Instant.at_level(self.schedule, torch.tensor(lam, dtype=torch.float64))

        def per_time(lead: Lead, x_t: Tensor, clean: Tensor) -> Tensor:
            here = Instant.at_level(self.schedule, level(lead, lam))
            pace = torch.where(here.noisy, _pace(lead, lam) * main.at.dlam / here.at.dlam, 0.0)
            return expand_like(pace, x_t) * velocity(here, x_t, clean)

        return map_modalities(per_time, x, x0, offsets=step.offsets)


def _pace(lead: Lead, lam: float) -> Tensor:
    """Slope of a modality's level against the main one, 1 but for clocks; 0 where clean."""
    if isinstance(lead, Tensor) or not callable(lead):
        return torch.ones((), dtype=torch.float64)
    slope = (level(lead, lam + _NUDGE) - level(lead, lam - _NUDGE)) / (2 * _NUDGE)
    return torch.where(torch.isfinite(slope), slope, 0.0)
