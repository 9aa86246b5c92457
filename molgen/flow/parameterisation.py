"""What a network predicts: clean data, noise or velocity, on the unit-total-variance state.

With ``x = a x0 + b eps`` and ``a^2 + b^2 = 1``. Each is a target, and the clean data that follow
from an output: ``x0(out, x, lam)`` where the shape of half-log-SNR ``lam`` leads that of ``x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from molgen.errors import UsageError
from molgen.flow.schedule import unit_tv
from molgen.flow.state import expand_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_SMALLEST_SIGNAL = 1e-6  # keeps the division finite where the state holds no signal


class Parameterisation(Protocol):
    """Conversion between clean data, noise and a network's output."""

    @property
    def name(self) -> str:
        """Name by which the parameterisation is chosen and stored."""

    def target(self, x0: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """What the network should put out; ``a`` and ``b`` broadcast against ``x0``."""

    def x0(self, out: Tensor, x: Tensor, lam: Tensor) -> Tensor:
        """Clean data from the output ``out`` at the state ``x``."""


@dataclass(frozen=True)
class DataPrediction:
    """The network puts out the clean data."""

    name: str = "x0"

    def target(self, x0: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return x0

    def x0(self, out: Tensor, x: Tensor, lam: Tensor) -> Tensor:
        return out


@dataclass(frozen=True)
class NoisePrediction:
    """The network puts out the noise, which at pure noise says nothing of the data."""

    name: str = "eps"

    def target(self, x0: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return eps

    def x0(self, out: Tensor, x: Tensor, lam: Tensor) -> Tensor:
        """``(x - b eps) / a``; a UsageError at pure noise.

        Only levels on the CPU, where solvers and schedules keep theirs, are looked at.
        """
        if lam.device.type == "cpu" and bool(lam.isneginf().any()):
            raise UsageError(
                "a network that predicts noise says nothing of the data at zero signal-to-noise",
                "Start at a finite level, or predict x0 or v",
            )
        a, b = unit_tv(lam)
        a = a.clamp_min(_SMALLEST_SIGNAL)
        return (x - expand_like(b, x) * out) / expand_like(a, x)


@dataclass(frozen=True)
class VelocityPrediction:
    """The velocity (Salimans and Ho 2022): EDM's preconditioning at unit variance, sign apart."""

    name: str = "v"

    def target(self, x0: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``a eps - b x0``."""
        return a * eps - b * x0

    def x0(self, out: Tensor, x: Tensor, lam: Tensor) -> Tensor:
        """``a x - b v``."""
        a, b = unit_tv(lam)
        return expand_like(a, x) * x - expand_like(b, x) * out


@dataclass(frozen=True)
class LineVelocity:
    """The velocity of the straight line ``(1 - t) x0 + t eps`` of flow matching (2210.02747).

    The state of unit total variance is that one over its length, so ``a`` and ``b`` stand for
    ``1 - t`` and ``t`` over ``sqrt((1 - t)^2 + t^2)``.
    """

    name: str = "u"

    def target(self, x0: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``eps - x0``."""
        return eps - x0

    def x0(self, out: Tensor, x: Tensor, lam: Tensor) -> Tensor:
        """``(x - b u) / (a + b)``."""
        a, b = unit_tv(lam)
        total = a + b
        return expand_like(1 / total, x) * x - expand_like(b / total, x) * out


X0 = DataPrediction()
EPS = NoisePrediction()
V = VelocityPrediction()
U = LineVelocity()

PARAMETERISATIONS: Mapping[str, Parameterisation] = MappingProxyType(
    {parameterisation.name: parameterisation for parameterisation in (X0, EPS, V, U)}
)
