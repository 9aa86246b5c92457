"""Weights of the training loss, stated once, for the squared error of the clean data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


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

    A variant of Hang et al. 2023 (arXiv 2303.09556), where the weight is ``min(gamma^2, cap)``.

    Attributes:
        cap: Largest weight.
    """

    cap: float = 5.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return (1 + torch.exp(2 * lam)).clamp_max(self.cap)
