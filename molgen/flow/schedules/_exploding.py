"""The native total variance of the schedules that explode: a = 1, b = sigma."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from molgen.flow.schedule import Schedule
from molgen.flow.variance import EXPLODING


@dataclass(frozen=True)
class ExplodingSchedule(Schedule):
    """A schedule whose signal keeps its scale while the noise grows, ``tau^2 = 1 + sigma^2``."""

    def log_tau(self, t: Tensor) -> Tensor:
        """``log sqrt(1 + sigma^2)``."""
        return EXPLODING.log_tau(self.lam(t))

    def dlog_tau(self, t: Tensor) -> Tensor:
        """Slope of ``log_tau``."""
        return EXPLODING.slope(self.lam(t)) * self.dlam(t)
