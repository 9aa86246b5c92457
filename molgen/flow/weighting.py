"""Weights of the training loss, stated once, for the squared error of the clean data.

``objective.py`` converts them to whatever a network predicts. An unweighted noise loss is
``CappedSNR(inf)`` here, an unweighted velocity loss ``MinSNR(inf)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from molgen.errors import UsageError


class Weighting(Protocol):
    """Weight of the squared error in x0 as a function of the noise level."""

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``, same shape."""


@dataclass(frozen=True)
class Unit:
    """The same weight everywhere: a plain mean squared error of the clean data."""

    def __call__(self, lam: Tensor) -> Tensor:
        """Ones."""
        return torch.ones_like(lam)


@dataclass(frozen=True)
class MinSNR:
    """``min(1 + gamma^2, cap)``: a velocity loss whose weight is capped at low noise.

    A variant of Hang et al. 2023 (arXiv 2303.09556), which is ``CappedSNR``.

    Attributes:
        cap: Largest weight.
    """

    cap: float = 5.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return (1 + torch.exp(2 * lam)).clamp_max(self.cap)


@dataclass(frozen=True)
class CappedSNR:
    """``min(gamma^2, cap)``: a noise loss whose weight is capped at low noise.

    Min-SNR weighting as published (Hang et al. 2023, arXiv 2303.09556).

    Attributes:
        cap: Largest weight.
    """

    cap: float = 5.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return torch.exp(2 * lam).clamp_max(self.cap)


@dataclass(frozen=True)
class EDMWeight:
    """``(sigma^2 + s^2) / (sigma s)^2`` with ``s = sigma_data``: unit weight of EDM's network.

    Karras et al. 2022 (arXiv 2206.00364, table 1); grows without bound at low noise.

    Attributes:
        sigma_data: Standard deviation of the data in the units of the state.
    """

    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        """Reject data without spread."""
        if self.sigma_data <= 0:
            raise UsageError(f"sigma_data is {self.sigma_data}", "Give a deviation above 0")

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return 1 / self.sigma_data**2 + torch.exp(2 * lam)


@dataclass(frozen=True)
class Sigmoid:
    """``gamma^2 sigmoid(bias - 2 lam)``: a noise loss that fades out at low noise.

    Kingma and Gao 2023 (arXiv 2303.00848). A smooth ``CappedSNR(exp(bias))``.

    Attributes:
        bias: Full log-SNR ``log(a^2 / b^2)`` at which the weight has half its largest value.
    """

    bias: float = 0.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return math.exp(self.bias) * torch.sigmoid(2 * lam - self.bias)
