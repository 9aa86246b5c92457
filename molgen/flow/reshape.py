"""Schedules made from others: another total variance, shifted, clipped, ending in pure noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.schedule import Schedule, slope, unit_tv

VARIANCES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "const": torch.zeros_like,
        "ot": lambda lam: logsigmoid(-lam) - 0.5 * logsigmoid(-2 * lam),
        "ve": lambda lam: -0.5 * logsigmoid(2 * lam),
    }
)
"""``log_tau`` as a function of half-log-SNR: tau = 1, a + b = 1, a = 1.

The total variance is a change of units along the path: it never changes the exact flow, only
what a raw discretisation of it, or a network that is fed raw states, sees.
"""


@dataclass(frozen=True)
class Reshaped(Schedule):
    """A schedule that changes part of another one, ``base``; as it stands it changes nothing."""

    base: Schedule

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return self.base.t_min

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return self.base.t_max

    def lam(self, t: Tensor) -> Tensor:
        return self.base.lam(t)

    def dlam(self, t: Tensor) -> Tensor:
        return self.base.dlam(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return self.base.t_of_lam(lam)

    def log_tau(self, t: Tensor) -> Tensor:
        return self.base.log_tau(t)

    def dlog_tau(self, t: Tensor) -> Tensor:
        return self.base.dlog_tau(t)


@dataclass(frozen=True)
class WithVariance(Reshaped):
    """A schedule with its total variance replaced by the one named ``tv`` in ``VARIANCES``."""

    tv: str

    def __post_init__(self) -> None:
        if self.tv not in VARIANCES:
            raise UsageError(*unknown("total variance", self.tv, [*VARIANCES, "native"]))

    def log_tau(self, t: Tensor) -> Tensor:
        return VARIANCES[self.tv](self.lam(t))

    def dlog_tau(self, t: Tensor) -> Tensor:
        return slope(VARIANCES[self.tv], self.lam(t)) * self.dlam(t)

    def with_tv(self, name: str) -> Schedule:
        return self.base.with_tv(name)

    def shift(self, log_m: float) -> Schedule:
        """Shift the base; the total variance stays the same function of the level."""
        return WithVariance(self.base.shift(log_m), self.tv)

    def clip(self, sigma_min: float, sigma_max: float) -> Schedule:
        """Clip the base; the total variance stays the same function of the level."""
        return WithVariance(self.base.clip(sigma_min, sigma_max), self.tv)


@dataclass(frozen=True)
class Shifted(Reshaped):
    """All noise levels multiplied by ``m = exp(log_m)``, ``lam = lam_base - log m``.

    The schedule walks the base's path ``(a, b)`` at other times: straight lines stay straight
    and an exploding schedule keeps a = 1. For straight lines the time becomes
    ``m t / (1 + (m - 1) t)`` (Esser et al. 2024, arXiv 2403.03206, eq. 23). Without a closed
    inverse of the base its native path is known within its own range of levels only.
    """

    name: ClassVar[str] = "shift"
    log_m: float

    def lam(self, t: Tensor) -> Tensor:
        return self.base.lam(t) - self.log_m

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return self.base.t_of_lam(lam.to(torch.float64) + self.log_m)

    def log_tau(self, t: Tensor) -> Tensor:
        return self.base.log_tau(self.base.t_of_lam(self.lam(t)))

    def dlog_tau(self, t: Tensor) -> Tensor:
        there = self.base.t_of_lam(self.lam(t))
        slope = self.base.dlog_tau(there)
        # Beyond the base's reach its level stands still, and so does a constant variance.
        return torch.where(slope == 0, slope, slope * self.base.dlam(t) / self.base.dlam(there))

    def shift(self, log_m: float) -> Schedule:
        return self.base.shift(self.log_m + log_m)


@dataclass(frozen=True)
class Clipped(Reshaped):
    """The part of a schedule with ``b / a`` from ``sigma_min``, at least 0, to ``sigma_max``."""

    name: ClassVar[str] = "clip"
    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        asked = f"[{self.sigma_min:g}, {self.sigma_max:g}]"
        if not 0 <= self.sigma_min < self.sigma_max < math.inf:
            raise UsageError(f"noise levels {asked}", "Give 0 <= sigma_min < sigma_max")
        if not self.t_min < self.t_max:
            ends = torch.tensor([self.base.t_min, self.base.t_max], dtype=torch.float64)
            low, high = torch.exp(-self.base.lam(ends)).tolist()
            raise UsageError(
                f"the schedule has no noise level within {asked}",
                f"Ask for levels between {low:.3g} and {high:.3g}",
            )
        super().__post_init__()

    @cached_property
    def t_min(self) -> float:  # type: ignore[override]
        """Time of ``sigma_min``, or of the base's least level."""
        return max(self.base.t_min, self._time(self.sigma_min))

    @cached_property
    def t_max(self) -> float:  # type: ignore[override]
        """Time of ``sigma_max``, or of the base's largest level."""
        return min(self.base.t_max, self._time(self.sigma_max))

    def _time(self, sigma: float) -> float:
        """Time at which the base has a noise level."""
        return float(self.base.t_of_lam(-torch.log(torch.tensor(sigma, dtype=torch.float64))))


@dataclass(frozen=True)
class ZeroTerminal(Reshaped):
    """A schedule that ends in pure noise: a = 0 at ``t_max``, and the same tau at every time.

    ``a = (a_base - a_base(T)) a_base(0) / (a_base(0) - a_base(T))`` of Lin et al. 2023 (arXiv
    2305.08891, algorithm 1) with T = ``t_max`` and 0 = ``t_min``. At T itself lam is ``-inf``,
    and so are its slope and the drift; ``da`` and ``db`` are not defined there.
    """

    name: ClassVar[str] = "zero-terminal"

    def __post_init__(self) -> None:
        first, last = self._ends
        if not last < first * (1 - 1e-9):
            raise UsageError(
                f"the signal does not fall (a = {first:g} at t_min, {last:g} at t_max)",
                "Replace the total variance first: schedule.with_tv('const').zero_terminal()",
            )
        super().__post_init__()

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The base's signal at ``t_min`` and ``t_max``."""
        first, last = self._signal(torch.tensor([self.t_min, self.t_max], dtype=torch.float64))
        return float(first), float(last)

    def _signal(self, t: Tensor) -> Tensor:
        """The base's signal."""
        return torch.exp(self.base.log_tau(t)) * unit_tv(self.base.lam(t))[0]

    def _rescaled(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``(a, b^2)``, the noise from what the rescaling takes off the signal."""
        first, last = self._ends
        signal = self._signal(t)
        a = (signal - last).clamp_min(0) * (first / (first - last))
        taken = last * (first - signal) / (first - last)
        noise = torch.exp(self.base.log_tau(t)) * unit_tv(self.base.lam(t))[1]
        return a, noise**2 + taken * (signal + a)

    def lam(self, t: Tensor) -> Tensor:
        a, b2 = self._rescaled(t)
        return torch.log(a) - 0.5 * torch.log(b2)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope ``(a' / a - tau' / tau) tau^2 / b^2``."""
        last, signal = self._ends[1], self._signal(t)
        share = unit_tv(self.base.lam(t))[1] ** 2
        fall = signal * self.base.dlam(t) * share + last * self.base.dlog_tau(t)
        tau2, b2 = torch.exp(2 * self.base.log_tau(t)), self._rescaled(t)[1]
        return fall / (signal - last).clamp_min(0) * tau2 / b2

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, by bisection: the rescaled signal has no closed inverse in general."""
        return Schedule.t_of_lam(self, lam)


@dataclass(frozen=True)
class FromAmplitudes(Schedule):
    """A schedule given by its two amplitudes; it holds functions, so it has no JSON form."""

    signal: Callable[[Tensor], Tensor]
    noise: Callable[[Tensor], Tensor]
    t_min: float = 1e-4
    t_max: float = 0.999

    def lam(self, t: Tensor) -> Tensor:
        return torch.log(self.signal(t)) - torch.log(self.noise(t))

    def log_tau(self, t: Tensor) -> Tensor:
        """Logarithm of ``sqrt(a^2 + b^2)``."""
        return torch.log(torch.hypot(self.signal(t), self.noise(t)))


def from_ab(
    a: Callable[[Tensor], Tensor],
    b: Callable[[Tensor], Tensor],
    t_min: float = 1e-4,
    t_max: float = 0.999,
) -> Schedule:
    """The schedule ``x_t = a(t) x0 + b(t) eps`` as papers define it; ``a / b`` has to fall.

    Example:
        >>> straight = from_ab(lambda t: 1 - t, lambda t: t)
        >>> float(straight.lam(torch.tensor(0.5, dtype=torch.float64)))
        0.0
    """
    return FromAmplitudes(a, b, t_min, t_max)


RESHAPES: Mapping[str, type[Reshaped]] = MappingProxyType(
    {kind.name: kind for kind in (Shifted, Clipped, ZeroTerminal)}
)
"""What can be stored around a schedule, by name; a total variance is stored as ``tv``."""
