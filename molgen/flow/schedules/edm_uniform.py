"""EDM in uniform time: equal steps of time are Karras' noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedules._checks import require_increasing, require_positive
from molgen.flow.schedules._exploding import ExplodingSchedule


@dataclass(frozen=True)
class EDMUniform(ExplodingSchedule):
    """``a = 1`` and ``sigma^(1 / rho)`` linear in time (Karras et al. 2022, 2206.00364, eq. 5).

    The default levels are those of Kahouli et al. 2025 (arXiv 2502.08598) for molecules.

    Attributes:
        sigma_min: Noise-to-signal ratio at t = 0, above 0.
        sigma_max: Noise-to-signal ratio at t = 1.
        rho: Crowding at low noise, above 0.
    """

    name: ClassVar[str] = "edm-ut"
    sigma_min: float = 0.002
    sigma_max: float = 30.0
    rho: float = 7.0
    t_min: float = 0.0
    t_max: float = 1.0

    def __post_init__(self) -> None:
        """Reject levels that do not increase."""
        require_increasing(self.name, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        require_positive(self.name, rho=self.rho)
        super().__post_init__()

    @property
    def _roots(self) -> tuple[float, float]:
        """``sigma^(1 / rho)`` at t = 0 and its growth until t = 1."""
        low = self.sigma_min ** (1 / self.rho)
        return low, self.sigma_max ** (1 / self.rho) - low

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        low, growth = self._roots
        return -self.rho * torch.log(low + growth * t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        low, growth = self._roots
        return -self.rho * growth / (low + growth * t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        low, growth = self._roots
        return (torch.exp(-lam.to(torch.float64) / self.rho) - low) / growth
