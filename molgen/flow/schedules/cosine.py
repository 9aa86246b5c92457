"""The cosine schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule, unit_tv


@dataclass(frozen=True)
class Cosine(Schedule):
    """Cosine schedule, ``a^2 = f(t) / f(0)``, ``f = cos^2((t^nu + s) / (1 + s) pi / 2)``, tau = 1.

    Nichol and Dhariwal 2021 (arXiv 2102.09672) with nu = 1.

    Attributes:
        nu: Exponent of time, above 0; larger destroys the data later.
        s: Offset that keeps the first step from being too small, above 0.
    """

    name: ClassVar[str] = "cosine"
    nu: float = 1.0
    s: float = 0.008
    t_min: float = 1e-4
    t_max: float = 0.999

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        if self.nu <= 0 or self.s <= 0:
            raise UsageError(f"cosine schedule with nu={self.nu:g}, s={self.s:g}", "Use values > 0")
        super().__post_init__()

    @property
    def _rate(self) -> float:
        """Angle per unit of warped time."""
        return 0.5 * math.pi / (1 + self.s)

    def _advance(self, t: Tensor) -> Tensor:
        """Angle beyond the angle at t = 0."""
        return self._rate * torch.exp(self.nu * torch.log(t))

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR; ``cos^2 A0 - cos^2 A = sin(A - A0) sin(A + A0)`` avoids cancellation."""
        start, beyond = self._rate * self.s, self._advance(t)
        signal = torch.sin(self._rate - beyond)
        noise = torch.sin(beyond) * torch.sin(beyond + 2 * start)
        return torch.log(signal) - 0.5 * torch.log(noise)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        start, beyond = self._rate * self.s, self._advance(t)
        per_angle = (
            1 / torch.tan(self._rate - beyond)
            + 0.5 / torch.tan(beyond)
            + 0.5 / torch.tan(beyond + 2 * start)
        )
        return -per_angle * beyond * self.nu / t

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, as the tangent of the angle beyond the start so that nothing cancels."""
        signal, noise = unit_tv(lam)
        start = math.tan(self._rate * self.s)
        along = torch.sqrt(start**2 + noise**2)
        beyond = torch.atan(
            (1 + start**2) * noise**2 / ((along + start * signal) * (signal + start * along))
        )
        return torch.exp(torch.log(beyond / self._rate) / self.nu)
