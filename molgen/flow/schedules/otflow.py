"""The straight lines of flow matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.flow.schedule import Schedule
from molgen.flow.schedules._logistic import logit_of_complement


@dataclass(frozen=True)
class OTFlow(Schedule):
    """Straight lines between data and noise, a = 1 - t and b = t (Lipman et al. 2023)."""

    name: ClassVar[str] = "otflow"
    t_min: float = 1e-4
    t_max: float = 0.995

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return logit_of_complement(t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return -1 / (t * (1 - t))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return torch.exp(logsigmoid(-lam.to(torch.float64)))

    def log_tau(self, t: Tensor) -> Tensor:
        """``log sqrt(t^2 + (1 - t)^2)``."""
        return 0.5 * torch.log(t**2 + (1 - t) ** 2)

    def dlog_tau(self, t: Tensor) -> Tensor:
        """Slope of ``log_tau``."""
        return (2 * t - 1) / (t**2 + (1 - t) ** 2)
