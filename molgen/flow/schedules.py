"""The schedules that ship, by name, and their JSON form."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule, WithVariance
from molgen.names import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


def _logit_of_complement(t: Tensor) -> Tensor:
    """``log((1 - t) / t)`` without cancellation."""
    return torch.log1p(-t) - torch.log(t)


@dataclass(frozen=True)
class ISSNR(Schedule):
    """Inverse-sigmoid signal-to-noise ratio, ``lam = kappa + eta logit(1 - t)``, tau = 1.

    From Kahouli et al. 2025 (arXiv 2502.08598) in the paper's units, where gamma = a / b is an
    amplitude ratio (their code stores 2 eta and 2 kappa).

    Attributes:
        eta: Steepness, above 0; larger spends more steps at both ends.
        kappa: Half-log-SNR at t = 1/2; larger spends more steps at low noise.
    """

    eta: float = 1.0
    kappa: float = 0.0
    t_min: float = 0.01
    t_max: float = 0.99

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        super().__post_init__()
        if self.eta <= 0:
            raise UsageError(f"eta is {self.eta:g}", "Give eta above 0, for instance 1")

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return self.kappa + self.eta * _logit_of_complement(t)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        return -self.eta / (t * (1 - t))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        return torch.exp(logsigmoid((self.kappa - lam.to(torch.float64)) / self.eta))


@dataclass(frozen=True)
class OTFlow(Schedule):
    """Straight lines between data and noise, a = 1 - t and b = t (Lipman et al. 2023)."""

    t_min: float = 1e-4
    t_max: float = 0.995

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        return _logit_of_complement(t)

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


@dataclass(frozen=True)
class Cosine(Schedule):
    """Cosine schedule, ``a^2 = f(t) / f(0)``, ``f = cos^2((t^nu + s) / (1 + s) pi / 2)``, tau = 1.

    Nichol and Dhariwal 2021 (arXiv 2102.09672) with nu = 1.

    Attributes:
        nu: Exponent of time, above 0; larger destroys the data later.
        s: Offset that keeps the first step from being too small, above 0.
    """

    nu: float = 1.0
    s: float = 0.008
    t_min: float = 1e-4
    t_max: float = 0.999

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        super().__post_init__()
        if self.nu <= 0 or self.s <= 0:
            raise UsageError(f"cosine schedule with nu={self.nu:g}, s={self.s:g}", "Use values > 0")

    @property
    def _rate(self) -> float:
        """Angle per unit of warped time."""
        return 0.5 * math.pi / (1 + self.s)

    def _advance(self, t: Tensor) -> Tensor:
        """Angle beyond the angle at t = 0."""
        return self._rate * torch.exp(self.nu * torch.log(t))

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR; ``cos^2 A0 - cos^2 A = sin(A - A0) sin(A + A0)`` avoids cancellation."""
        start, beyond = self._rate * self.s, self._advance(t)
        signal = torch.sin(self._rate - beyond)
        noise = torch.sin(beyond) * torch.sin(beyond + 2 * start)
        return torch.log(signal) - 0.5 * torch.log(noise)

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        start, beyond = self._rate * self.s, self._advance(t)
        per_angle = (
            1 / torch.tan(self._rate - beyond)
            + 0.5 / torch.tan(beyond)
            + 0.5 / torch.tan(beyond + 2 * start)
        )
        return -per_angle * beyond * self.nu / t

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse."""
        start, lam = self._rate * self.s, lam.to(torch.float64)
        # The tangent keeps the digits near clean data that the cosine would lose.
        least = math.tan(start) ** 2
        angle = torch.atan(torch.sqrt(least + (1 + least) * torch.exp(-2 * lam)))
        return torch.exp(torch.log((angle - start).clamp_min(0) / self._rate) / self.nu)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """``a^2 = (1 - 2 s)(1 - t^2)^2 + s``, tau = 1 (Hoogeboom et al. 2022, arXiv 2203.17003).

    Attributes:
        s: Distance of ``a^2`` from 1 and 0 at the ends, in (0, 1/2); bounds lam on both sides.
    """

    s: float = 1e-5
    t_min: float = 1e-5
    t_max: float = 1 - 1e-5

    def __post_init__(self) -> None:
        """Reject a schedule that does not decrease."""
        super().__post_init__()
        if not 0 < self.s < 0.5:
            raise UsageError(f"polynomial schedule with s={self.s:g}", "Use 0 < s < 0.5")

    def _powers(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``(a^2, b^2)``, each without cancellation."""
        span = 1 - 2 * self.s
        return span * (1 - t**2) ** 2 + self.s, span * t**2 * (2 - t**2) + self.s

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR."""
        signal, noise = self._powers(t)
        return 0.5 * (torch.log(signal) - torch.log(noise))

    def dlam(self, t: Tensor) -> Tensor:
        """Slope."""
        signal, noise = self._powers(t)
        return -2 * (1 - 2 * self.s) * t * (1 - t**2) / (signal * noise)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Inverse, clipped to [0, 1] beyond the reachable levels."""
        noise = torch.exp(logsigmoid(-2 * lam.to(torch.float64)))
        share = ((noise - self.s) / (1 - 2 * self.s)).clamp(0, 1)
        return torch.sqrt(share / (1 + torch.sqrt(1 - share)))


SCHEDULES: dict[str, type[Schedule]] = {
    "issnr": ISSNR,
    "otflow": OTFlow,
    "cosine": Cosine,
    "polynomial": Polynomial,
}
"""Schedules by the name that users type; add a class here to make it storable."""


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """JSON-ready form: the name, the numbers and, if replaced, the total variance ``tv``.

    Raises:
        UsageError: The schedule's class is not in ``SCHEDULES``.
    """
    if isinstance(schedule, WithVariance):
        return {**schedule_to_dict(schedule.base), "tv": schedule.variance.name}
    for name, kind in SCHEDULES.items():
        if type(schedule) is kind:
            return {"name": name, **asdict(schedule)}  # type: ignore[call-overload]
    kind_name = type(schedule).__name__
    raise UsageError(f"schedule {kind_name} has no name", "Add it to molgen.flow.SCHEDULES")


def schedule_from_dict(fields: Mapping[str, Any]) -> Schedule:
    """Schedule from its JSON form; numbers that are left out keep their defaults.

    Raises:
        UsageError: Unknown name, field or total variance.
    """
    numbers = dict(fields)
    name, variance = str(numbers.pop("name", "")), numbers.pop("tv", "native")
    if name not in SCHEDULES:
        raise UsageError(*unknown("schedule", name, SCHEDULES))
    try:
        schedule = SCHEDULES[name](**numbers)
    except TypeError as error:
        raise UsageError(f"schedule '{name}' does not accept {sorted(numbers)}") from error
    return schedule.with_tv(variance)
