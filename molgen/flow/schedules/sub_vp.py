"""The sub-variance-preserving schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedules._decay import LinearRate


@dataclass(frozen=True)
class SubVP(LinearRate):
    """``a = exp(-B / 2)``, ``b = 1 - exp(-B)`` with a linear rate (arXiv 2011.13456, sec. 3.4).

    The total variance ``1 - exp(-B) + exp(-2 B)`` never exceeds one. Parameters as in
    :class:`LinearRate`.
    """

    name: ClassVar[str] = "sub-vp"

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR ``-log(2 sinh(B / 2))``."""
        decay = self.decay(t)
        return -0.5 * decay - torch.log(-torch.expm1(-decay))

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return (1 / torch.expm1(-self.decay(t)) + 0.5) * self.rate(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, ``B = 2 asinh(sigma / 2)``."""
        sigma = torch.exp(-lam.to(torch.float64))
        return self.time(2 * torch.asinh(0.5 * sigma))

    def log_tau(self, t: Tensor) -> Tensor:
        """Logarithm of the total standard deviation."""
        decay = self.decay(t)
        return 0.5 * torch.log1p(torch.exp(-decay) * torch.expm1(-decay))

    def dlog_tau(self, t: Tensor) -> Tensor:
        """Slope of ``log_tau``."""
        kept = torch.exp(-self.decay(t))
        return 0.5 * kept * (1 - 2 * kept) / (1 - kept + kept**2) * self.rate(t)
