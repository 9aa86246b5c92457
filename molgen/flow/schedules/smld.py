"""Geometric noise levels of score matching with Langevin dynamics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedules._checks import require_increasing
from molgen.flow.schedules._exploding import ExplodingSchedule


@dataclass(frozen=True)
class SMLD(ExplodingSchedule):
    """``a = 1``, ``sigma = sigma_min (sigma_max / sigma_min)^t`` (Song and Ermon 2019, 1907.05600).

    The default levels are those of Kahouli et al. 2025 (arXiv 2502.08598) for molecules.

    Attributes:
        sigma_min: Noise-to-signal ratio at t = 0, above 0.
        sigma_max: Noise-to-signal ratio at t = 1.
    """

    name: ClassVar[str] = "smld"
    sigma_min: float = 0.002
    sigma_max: float = 30.0
    t_min: float = 0.0
    t_max: float = 1.0

    def __post_init__(self) -> None:
        """Reject levels that do not increase."""
        require_increasing(self.name, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        super().__post_init__()

    @property
    def _range(self) -> float:
        """Half-log-SNR between the ends."""
        return math.log(self.sigma_max / self.sigma_min)

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR, linear in time."""
        return -math.log(self.sigma_min) - t * self._range

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return torch.full_like(t, -self._range)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return (-lam.to(torch.float64) - math.log(self.sigma_min)) / self._range
