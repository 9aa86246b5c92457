"""Total variance as a function of the signal-to-noise ratio.

The total variance is a change of units along the path: it never changes the exact flow, only
what a raw discretisation of it, or a network that is fed raw states, sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping


class TotalVariance(Protocol):
    """``log tau`` as a function of the half-log-SNR."""

    @property
    def name(self) -> str:
        """Name by which the total variance is chosen and stored."""

    def log_tau(self, lam: Tensor) -> Tensor:
        """Logarithm of the total standard deviation at half-log-SNR ``lam``."""

    def slope(self, lam: Tensor) -> Tensor:
        """Derivative of ``log_tau`` by ``lam``."""


@dataclass(frozen=True)
class Constant:
    """Variance preserving: tau = 1."""

    name: str = "const"

    def log_tau(self, lam: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(lam)

    def slope(self, lam: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(lam)


@dataclass(frozen=True)
class Linear:
    """Flow matching's straight line between data and noise: a + b = 1."""

    name: str = "ot"

    def log_tau(self, lam: Tensor) -> Tensor:
        """``log(sqrt(1 + gamma^2) / (1 + gamma))``."""
        return logsigmoid(-lam) - 0.5 * logsigmoid(-2 * lam)

    def slope(self, lam: Tensor) -> Tensor:
        """``gamma^2 / (1 + gamma^2) - gamma / (1 + gamma)``."""
        return torch.exp(logsigmoid(2 * lam)) - torch.exp(logsigmoid(lam))


@dataclass(frozen=True)
class Exploding:
    """Variance exploding: a = 1."""

    name: str = "ve"

    def log_tau(self, lam: Tensor) -> Tensor:
        """``log sqrt(1 + sigma^2)``."""
        return -0.5 * logsigmoid(2 * lam)

    def slope(self, lam: Tensor) -> Tensor:
        """``-sigma^2 / (1 + sigma^2)``."""
        return -torch.exp(logsigmoid(-2 * lam))


EXPLODING = Exploding()
"""Also the native total variance of the schedules that are defined by their noise level."""

VARIANCES: Mapping[str, TotalVariance] = MappingProxyType(
    {variance.name: variance for variance in (Constant(), Linear(), EXPLODING)}
)
"""Total variances by the name that users type."""
