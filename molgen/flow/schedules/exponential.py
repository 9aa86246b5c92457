"""Exponentially decaying signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from molgen.flow.schedule import Schedule
from molgen.flow.schedules._checks import require_positive
from molgen.flow.schedules._decay import preserving_decay, preserving_lam, preserving_slope


@dataclass(frozen=True)
class Exponential(Schedule):
    """``a^2 = exp(-rate t)``, ``b^2 = 1 - a^2``: the Ornstein-Uhlenbeck process, tau = 1.

    Attributes:
        rate: Decay of the signal's power per unit of time, above 0.
    """

    name: ClassVar[str] = "exponential"
    rate: float = 12.0
    t_min: float = 1e-5
    t_max: float = 1.0

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        require_positive(self.name, rate=self.rate)
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return preserving_lam(self.rate * t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return self.rate * preserving_slope(self.rate * t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return preserving_decay(lam) / self.rate
