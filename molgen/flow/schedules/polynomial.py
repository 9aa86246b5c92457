"""The polynomial schedule of equivariant diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class Polynomial(Schedule):
    """``a^2 = (1 - 2 s)(1 - t^2)^2 + s``, tau = 1 (Hoogeboom et al. 2022, arXiv 2203.17003).

    Attributes:
        s: Distance of ``a^2`` from 1 and 0 at the ends, in (0, 1/2); bounds lam on both sides.
    """

    name: ClassVar[str] = "polynomial"
    s: float = 1e-5
    t_min: float = 1e-5
    t_max: float = 1 - 1e-5

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        if not 0 < self.s < 0.5:
            raise UsageError(f"polynomial schedule with s={self.s:g}", "Use 0 < s < 0.5")
        super().__post_init__()

    def _powers(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``(a^2, b^2)``, each without cancellation."""
        span = 1 - 2 * self.s
        return span * (1 - t**2) ** 2 + self.s, span * t**2 * (2 - t**2) + self.s

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        signal, noise = self._powers(t)
        return 0.5 * (torch.log(signal) - torch.log(noise))

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        signal, noise = self._powers(t)
        return -2 * (1 - 2 * self.s) * t * (1 - t**2) / (signal * noise)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, clipped to [0, 1] beyond the reachable levels."""
        noise = torch.exp(logsigmoid(-2 * lam.to(torch.float64)))
        share = ((noise - self.s) / (1 - 2 * self.s)).clamp(0, 1)
        return torch.sqrt(share / (1 + torch.sqrt(1 - share)))
