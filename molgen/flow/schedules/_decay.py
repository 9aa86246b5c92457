"""Schedules written through the decay ``B``, with signal ``a = exp(-B / 2)``.

Every form keeps its digits where ``B`` is small (data) and where it is large (noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules._checks import require_positive


def preserving_lam(decay: Tensor) -> Tensor:
    """Half-log-SNR ``-log(expm1(B)) / 2`` at unit total variance."""
    return -0.5 * (decay + torch.log(-torch.expm1(-decay)))


def preserving_slope(decay: Tensor) -> Tensor:
    """Derivative of ``preserving_lam`` by ``B``."""
    return 0.5 / torch.expm1(-decay)


def preserving_decay(lam: Tensor) -> Tensor:
    """The decay ``B = log(1 + exp(-2 lam))`` at a half-log-SNR, the inverse of the above."""
    return -logsigmoid(2 * lam.to(torch.float64))


@dataclass(frozen=True)
class LinearRate(Schedule):
    """Decay at a rate that grows linearly, ``B = beta_min t + (beta_max - beta_min) t^2 / 2``.

    Attributes:
        beta_min: Rate at t = 0, above 0.
        beta_max: Rate at t = 1, not below ``beta_min``.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-5
    t_max: float = 1.0

    def __post_init__(self) -> None:
        """Reject rates that are not positive or fall."""
        require_positive(self.name, beta_min=self.beta_min, beta_max=self.beta_max)
        if self.beta_max < self.beta_min:
            rates = f"beta_min={self.beta_min:g}, beta_max={self.beta_max:g}"
            raise UsageError(f"{self.name} schedule with {rates}", "Make beta_max the larger one")
        super().__post_init__()

    def decay(self, t: Tensor) -> Tensor:
        """The decay ``B`` at time ``t``."""
        return t * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t)

    def rate(self, t: Tensor) -> Tensor:
        """Time derivative of the decay."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def time(self, decay: Tensor) -> Tensor:
        """Time at which the decay is ``B``, by the root formula that does not cancel."""
        growth = 2 * (self.beta_max - self.beta_min)
        return 2 * decay / (self.beta_min + torch.sqrt(self.beta_min**2 + growth * decay))
