"""The variance-preserving schedule with a linear rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from molgen.flow.schedules._decay import (
    LinearRate,
    preserving_decay,
    preserving_lam,
    preserving_slope,
)


@dataclass(frozen=True)
class VPLinear(LinearRate):
    """``a = exp(-B / 2)``, ``b = sqrt(1 - exp(-B))`` with a linear rate, tau = 1.

    The continuous form of DDPM (Ho et al. 2020, arXiv 2006.11239; Song et al. 2021, arXiv
    2011.13456, eq. 32-33). Parameters as in :class:`LinearRate`.
    """

    name: ClassVar[str] = "vp-linear"

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return preserving_lam(self.decay(t))

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return preserving_slope(self.decay(t)) * self.rate(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return self.time(preserving_decay(lam))
