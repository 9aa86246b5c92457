"""The inverse-sigmoid signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules._logistic import logit_of_complement


@dataclass(frozen=True)
class ISSNR(Schedule):
    """Inverse-sigmoid signal-to-noise ratio, ``lam = kappa + eta logit(1 - t)``, tau = 1.

    From Kahouli et al. 2025 (arXiv 2502.08598) in the paper's units, where gamma = a / b is an
    amplitude ratio (their code stores 2 eta and 2 kappa).

    Attributes:
        eta: Steepness, above 0; larger spends more steps at both ends.
        kappa: Half-log-SNR at t = 1/2; larger spends more steps at low noise.
    """

    name: ClassVar[str] = "issnr"
    eta: float = 1.0
    kappa: float = 0.0
    t_min: float = 0.01
    t_max: float = 0.99

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        if self.eta <= 0:
            raise UsageError(f"eta is {self.eta:g}", "Give eta above 0, for instance 1")
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return self.kappa + self.eta * logit_of_complement(t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return -self.eta / (t * (1 - t))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return torch.exp(logsigmoid((self.kappa - lam.to(torch.float64)) / self.eta))
