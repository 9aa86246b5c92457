"""The schedules that ship, by the name that users type, and their JSON form.

Each is written so that it keeps its digits at data (t = 0) and at noise (t = 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.reshape import RESHAPES, VARIANCES, WithVariance
from molgen.flow.schedule import Schedule, unit_tv


@dataclass(frozen=True)
class OTFlow(Schedule):
    """Straight lines of flow matching, a = 1 - t and b = t (Lipman et al. 2023)."""

    name: ClassVar[str] = "otflow"
    t_min: float = 1e-4
    t_max: float = 0.995

    def lam(self, t: Tensor) -> Tensor:
        """``log((1 - t) / t)``."""
        return _logit_of_complement(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return torch.exp(logsigmoid(-lam.to(torch.float64)))

    def log_tau(self, t: Tensor) -> Tensor:
        """``log sqrt(t^2 + (1 - t)^2)``."""
        return 0.5 * torch.log(t**2 + (1 - t) ** 2)


@dataclass(frozen=True)
class ISSNR(Schedule):
    """Inverse-sigmoid signal-to-noise ratio, ``lam = kappa + eta logit(1 - t)``, tau = 1.

    From Kahouli et al. 2025 (arXiv 2502.08598) in the paper's units, where gamma = a / b is an
    amplitude ratio (their code stores 2 eta and 2 kappa). A larger ``eta``, above 0, spends more
    steps at both ends, a larger ``kappa``, the level at t = 1/2, more at low noise.
    """

    name: ClassVar[str] = "issnr"
    eta: float = 1.0
    kappa: float = 0.0
    t_min: float = 0.01
    t_max: float = 0.99

    def __post_init__(self) -> None:
        if self.eta <= 0:
            raise UsageError(f"eta is {self.eta:g}", "Give eta above 0, for instance 1")
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        return self.kappa + self.eta * _logit_of_complement(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return torch.exp(logsigmoid((self.kappa - lam.to(torch.float64)) / self.eta))


@dataclass(frozen=True)
class Cosine(Schedule):
    """``a^2 = f(t) / f(0)``, ``f = cos^2((t^nu + s) / (1 + s) pi / 2)``, tau = 1.

    Nichol and Dhariwal 2021 (arXiv 2102.09672) with nu = 1. A larger ``nu``, above 0, destroys the
    data later; ``s``, above 0, keeps the first step from being too small.
    """

    name: ClassVar[str] = "cosine"
    nu: float = 1.0
    s: float = 0.008
    t_min: float = 1e-4
    t_max: float = 0.999

    def __post_init__(self) -> None:
        if self.nu <= 0 or self.s <= 0:
            raise UsageError(f"cosine schedule with nu={self.nu:g}, s={self.s:g}", "Use values > 0")
        super().__post_init__()

    @property
    def _rate(self) -> float:
        """Angle per unit of warped time."""
        return 0.5 * math.pi / (1 + self.s)

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR; ``cos^2 A0 - cos^2 A = sin(A - A0) sin(A + A0)`` avoids cancellation."""
        beyond = self._rate * torch.exp(self.nu * torch.log(t))
        signal = torch.sin(self._rate - beyond)
        noise = torch.sin(beyond) * torch.sin(beyond + 2 * (self._rate * self.s))
        return torch.log(signal) - 0.5 * torch.log(noise)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, as the tangent of the angle beyond the start so that nothing cancels."""
        signal, noise = unit_tv(lam)
        start = math.tan(self._rate * self.s)
        along = torch.sqrt(start**2 + noise**2)
        beyond = torch.atan(
            (1 + start**2) * noise**2 / ((along + start * signal) * (signal + start * along))
        )
        return torch.exp(torch.log(beyond / self._rate) / self.nu)


@dataclass(frozen=True)
class Trig(Schedule):
    """``a = cos(pi t / 2)``, ``b = sin(pi t / 2)``, tau = 1 (Albergo et al. 2023, 2303.08797)."""

    name: ClassVar[str] = "trig"
    t_min: float = 1e-4
    t_max: float = 0.999

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR; the sine of the complement keeps the digits near t = 1."""
        signal, noise = torch.sin(0.5 * math.pi * (1 - t)), torch.sin(0.5 * math.pi * t)
        return torch.log(signal) - torch.log(noise)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return torch.atan(torch.exp(-lam.to(torch.float64))) * (2 / math.pi)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """``a^2 = (1 - 2 s)(1 - t^2)^2 + s``, tau = 1 (Hoogeboom et al. 2022, 2203.17003), s < 1/2."""

    name: ClassVar[str] = "polynomial"
    s: float = 1e-5
    t_min: float = 1e-5
    t_max: float = 1 - 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.s < 0.5:
            raise UsageError(f"polynomial schedule with s={self.s:g}", "Use 0 < s < 0.5")
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR from ``(a^2, b^2)``, each without cancellation."""
        span = 1 - 2 * self.s
        signal, noise = span * (1 - t**2) ** 2 + self.s, span * t**2 * (2 - t**2) + self.s
        return 0.5 * (torch.log(signal) - torch.log(noise))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        noise = torch.exp(logsigmoid(-2 * lam.to(torch.float64)))
        share = ((noise - self.s) / (1 - 2 * self.s)).clamp(0, 1)
        return torch.sqrt(share / (1 + torch.sqrt(1 - share)))


@dataclass(frozen=True)
class Exponential(Schedule):
    """``a^2 = exp(-rate t)``, ``b^2 = 1 - a^2``: the Ornstein-Uhlenbeck process, tau = 1."""

    name: ClassVar[str] = "exponential"
    rate: float = 12.0
    t_min: float = 1e-5
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self.name, rate=self.rate)
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        return _preserving_lam(self.rate * t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return -logsigmoid(2 * lam.to(torch.float64)) / self.rate


@dataclass(frozen=True)
class VPLinear(Schedule):
    """``a = exp(-B / 2)``, ``b = sqrt(1 - exp(-B))``, tau = 1: the continuous form of DDPM.

    ``B = beta_min t + (beta_max - beta_min) t^2 / 2`` (Ho et al. 2020, arXiv 2006.11239; Song et
    al. 2021, arXiv 2011.13456, eq. 32-33), with rates above 0 that do not fall.
    """

    name: ClassVar[str] = "vp-linear"
    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-5
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self.name, beta_min=self.beta_min, beta_max=self.beta_max)
        if self.beta_max < self.beta_min:
            rates = f"beta_min={self.beta_min:g}, beta_max={self.beta_max:g}"
            raise UsageError(f"{self.name} schedule with {rates}", "Make beta_max the larger one")
        super().__post_init__()

    def _decay(self, t: Tensor) -> Tensor:
        """The decay ``B`` at time ``t``."""
        return t * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t)

    def _time(self, decay: Tensor) -> Tensor:
        """Time at which the decay is ``B``, by the root formula that does not cancel."""
        growth = 2 * (self.beta_max - self.beta_min)
        return 2 * decay / (self.beta_min + torch.sqrt(self.beta_min**2 + growth * decay))

    def lam(self, t: Tensor) -> Tensor:
        return _preserving_lam(self._decay(t))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return self._time(-logsigmoid(2 * lam.to(torch.float64)))


@dataclass(frozen=True)
class SubVP(VPLinear):
    """``a = exp(-B / 2)``, ``b = 1 - exp(-B)`` (arXiv 2011.13456, sec. 3.4).

    The total variance ``1 - exp(-B) + exp(-2 B)`` never exceeds one.
    """

    name: ClassVar[str] = "sub-vp"

    def lam(self, t: Tensor) -> Tensor:
        """``-log(2 sinh(B / 2))``."""
        decay = self._decay(t)
        return -0.5 * decay - torch.log(-torch.expm1(-decay))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, ``B = 2 asinh(sigma / 2)``."""
        return self._time(2 * torch.asinh(0.5 * torch.exp(-lam.to(torch.float64))))

    def log_tau(self, t: Tensor) -> Tensor:
        decay = self._decay(t)
        return 0.5 * torch.log1p(torch.exp(-decay) * torch.expm1(-decay))


class _Exploding(Schedule):
    """a = 1, b = sigma; default levels for molecules of Kahouli et al. 2025 (2502.08598)."""

    def log_tau(self, t: Tensor) -> Tensor:
        """``log sqrt(1 + sigma^2)``."""
        return VARIANCES["ve"](self.lam(t))


@dataclass(frozen=True)
class EDM(_Exploding):
    """``a = 1``, ``b = sigma = t`` (Karras et al. 2022, arXiv 2206.00364)."""

    name: ClassVar[str] = "edm"
    t_min: float = 0.002
    t_max: float = 30.0

    def lam(self, t: Tensor) -> Tensor:
        return -torch.log(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        return torch.exp(-lam.to(torch.float64))


@dataclass(frozen=True)
class SMLD(_Exploding):
    """``a = 1``, ``sigma = sigma_min (sigma_max / sigma_min)^t`` (Song, Ermon 2019, 1907.05600)."""

    name: ClassVar[str] = "smld"
    sigma_min: float = 0.002
    sigma_max: float = 30.0
    t_min: float = 0.0
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _require_increasing(self.name, self.sigma_min, self.sigma_max)
        super().__post_init__()

    def lam(self, t: Tensor) -> Tensor:
        return -math.log(self.sigma_min) - t * math.log(self.sigma_max / self.sigma_min)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        above = -lam.to(torch.float64) - math.log(self.sigma_min)
        return above / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class EDMUniform(_Exploding):
    """``a = 1`` and ``sigma^(1 / rho)`` linear in time (Karras et al. 2022, 2206.00364, eq. 5)."""

    name: ClassVar[str] = "edm-ut"
    sigma_min: float = 0.002
    sigma_max: float = 30.0
    rho: float = 7.0
    t_min: float = 0.0
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _require_increasing(self.name, self.sigma_min, self.sigma_max)
        _require_positive(self.name, rho=self.rho)
        super().__post_init__()

    @property
    def _roots(self) -> tuple[float, float]:
        """``sigma^(1 / rho)`` at t = 0 and its growth until t = 1."""
        low = self.sigma_min ** (1 / self.rho)
        return low, self.sigma_max ** (1 / self.rho) - low

    def lam(self, t: Tensor) -> Tensor:
        low, growth = self._roots
        return -self.rho * torch.log(low + growth * t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        low, growth = self._roots
        return (torch.exp(-lam.to(torch.float64) / self.rho) - low) / growth


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *(Cosine, EDM, EDMUniform, Exponential, ISSNR, OTFlow),
            *(Polynomial, SMLD, SubVP, Trig, VPLinear),
        )
    }
)
"""Schedules by the name that users type."""

_STORED: Mapping[str, type[Schedule]] = MappingProxyType({**SCHEDULES, **RESHAPES})


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """JSON-ready form: the name, the numbers and, if replaced, the total variance ``tv``.

    A reshaped schedule holds the form of the schedule it reshapes under ``base``.

    Raises:
        UsageError: The schedule's class is not in ``SCHEDULES``.
    """
    if isinstance(schedule, WithVariance):
        return {**schedule_to_dict(schedule.base), "tv": schedule.tv}
    name = getattr(schedule, "name", "")
    if _STORED.get(name) is not type(schedule):
        raise UsageError(
            f"schedule {type(schedule).__name__} has no name in molgen.flow.SCHEDULES",
            "Give the class a name and add it to the table",
        )
    values = {field.name: getattr(schedule, field.name) for field in fields(schedule)}  # type: ignore[arg-type]
    return {"name": name} | {
        key: schedule_to_dict(value) if isinstance(value, Schedule) else value
        for key, value in values.items()
    }


def schedule_from_dict(stored: Mapping[str, Any]) -> Schedule:
    """Schedule from its JSON form; numbers that are left out keep their defaults.

    Raises:
        UsageError: Unknown name, field or total variance, or numbers out of range.
    """
    numbers = dict(stored)
    name, variance = str(numbers.pop("name", "")), numbers.pop("tv", "native")
    if name not in _STORED:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    if name in RESHAPES:
        if not isinstance(numbers.get("base"), Mapping):
            raise UsageError(f"'{name}' needs 'base', the schedule it reshapes, in the same form")
        numbers["base"] = schedule_from_dict(numbers["base"])
    try:
        schedule = _STORED[name](**numbers)
    except TypeError as error:
        raise UsageError(f"schedule '{name}' does not accept {sorted(numbers)}") from error
    return schedule.with_tv(variance)


def _preserving_lam(decay: Tensor) -> Tensor:
    """Half-log-SNR ``-log(expm1(B)) / 2`` of ``a = exp(-B / 2)`` at unit total variance."""
    return -0.5 * (decay + torch.log(-torch.expm1(-decay)))


def _logit_of_complement(t: Tensor) -> Tensor:
    """``log((1 - t) / t)`` without cancellation."""
    return torch.log1p(-t) - torch.log(t)


def _require_positive(kind: str, **numbers: float) -> None:
    """Reject parameters that are not finite numbers above 0."""
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise UsageError(f"{kind} schedule with {name}={number:g}", f"Give {name} above 0")


def _require_increasing(kind: str, low: float, high: float) -> None:
    """Reject noise levels that are not positive or do not increase."""
    _require_positive(kind, sigma_min=low, sigma_max=high)
    if not low < high:
        ends = f"sigma_min={low:g}, sigma_max={high:g}"
        raise UsageError(f"{kind} schedule with {ends}", "Make sigma_min below sigma_max")
