"""Weights of the training loss, stated once, for the squared error of the clean data.

``objective.py`` converts them to whatever a network predicts. An unweighted noise loss is
``CappedSNR(inf)`` here, an unweighted velocity loss ``MinSNR(inf)``. A weight is a function of
half-log-SNR of any shape; ``gamma = exp(lam)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from molgen.errors import UsageError


class Weighting(Protocol):
    """Weight of the squared error in x0 as a function of half-log-SNR."""

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights, shaped like ``lam``."""


@dataclass(frozen=True)
class Unit:
    """The same weight everywhere: a plain mean squared error of the clean data."""

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return torch.ones_like(lam)


@dataclass(frozen=True)
class MinSNR:
    """``min(1 + gamma^2, cap)``: a velocity loss whose weight is capped at low noise.

    A variant of Hang et al. 2023 (arXiv 2303.09556), which is ``CappedSNR``.
    """

    cap: float = 5.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return (1 + torch.exp(2 * lam)).clamp_max(self.cap)


@dataclass(frozen=True)
class CappedSNR:
    """``min(gamma^2, cap)``: Min-SNR weighting as published (Hang et al. 2023, 2303.09556)."""

    cap: float = 5.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return torch.exp(2 * lam).clamp_max(self.cap)


@dataclass(frozen=True)
class EDMWeight:
    """``(sigma^2 + s^2) / (sigma s)^2`` with ``s = sigma_data``: unit weight of EDM's network.

    Karras et al. 2022 (arXiv 2206.00364, table 1); grows without bound at low noise.
    ``sigma_data`` is the standard deviation of the data in the units of the state.
    """

    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        if self.sigma_data <= 0:
            raise UsageError(f"sigma_data is {self.sigma_data}", "Give a deviation above 0")

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return 1 / self.sigma_data**2 + torch.exp(2 * lam)


@dataclass(frozen=True)
class Sigmoid:
    """``gamma^2 sigmoid(bias - 2 lam)``: a smooth ``CappedSNR(exp(bias))``.

    Kingma and Gao 2023 (arXiv 2303.00848). ``bias`` is the full log-SNR ``log(a^2 / b^2)`` at
    which the weight has half its largest value.
    """

    bias: float = 0.0

    def __call__(self, lam: Tensor) -> Tensor:
        """Weights at half-log-SNR ``lam``."""
        return math.exp(self.bias) * torch.sigmoid(2 * lam - self.bias)


class IntervalWeights(nn.Module):
    """Learned log-variance ``u`` of the loss per interval of levels: ``loss / exp(u) + u``.

    Levels are tasks that can hinder one another (Go et al. 2023, arXiv 2306.00354). At the minimum
    every interval contributes 1. Optimise the parameters with the network's, without weight decay;
    ``edges`` are increasing half-log-SNR, one fewer than intervals.
    """

    edges: Tensor

    def __init__(self, edges: Sequence[float]) -> None:
        super().__init__()
        if not all(low < high for low, high in pairwise(edges)):
            raise UsageError("the edges of noise intervals do not increase", "Sort them")
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float64))
        self.log_variance = nn.Parameter(torch.zeros(len(edges) + 1))

    def forward(self, loss: Tensor, lam: Tensor) -> Tensor:
        """What to average and minimise, ``[B]``, from losses and half-log-SNR per sample."""
        u = self.log_variance[torch.bucketize(lam.to(torch.float64), self.edges)]
        return loss * torch.exp(-u) + u
