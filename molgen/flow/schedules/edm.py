"""EDM: time is the noise level itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.flow.schedules._exploding import ExplodingSchedule


@dataclass(frozen=True)
class EDM(ExplodingSchedule):
    """``a = 1``, ``b = sigma = t`` for t between two noise levels (Karras et al. 2022, 2206.00364).

    The default levels are those of Kahouli et al. 2025 (arXiv 2502.08598) for molecules.
    """

    name: ClassVar[str] = "edm"
    t_min: float = 0.002
    t_max: float = 30.0

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return -torch.log(t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return -1 / t

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return torch.exp(-lam.to(torch.float64))
