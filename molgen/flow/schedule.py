"""What a noise schedule is: half-log-SNR and total standard deviation as functions of time.

A state at time t is ``x_t = a x0 + b eps`` with t = 0 data and t = 1 noise. A schedule is two
functions: ``lam = log(a / b)``, HALF the log signal-to-noise ratio, decreasing in t; and
``log_tau`` with ``tau^2 = a^2 + b^2`` (Kahouli et al. 2025, arXiv 2502.08598). All
coefficients are float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from molgen.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

_BISECTIONS = 80


def unit_tv(lam: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise amplitudes of the state with unit total variance.

    Equal levels give bit-equal amplitudes whatever the shape of ``lam``.

    Args:
        lam: Half-log-SNR of any shape; ``+inf`` is clean data, ``-inf`` pure noise.

    Returns:
        ``(a, b)`` in float64 with ``a^2 + b^2 = 1`` and ``log(a / b) = lam``.
    """
    lam = lam.to(torch.float64)
    # torch.sigmoid rounds differently in vector lanes and in a loop's tail; these do not.
    return torch.exp(0.5 * logsigmoid(2 * lam)), torch.exp(0.5 * logsigmoid(-2 * lam))


@dataclass(frozen=True)
class Coefficients:
    """What follows from a schedule at given times; all float64, shaped like the times.

    ``tau`` is the total standard deviation, ``gamma = a / b`` the amplitude signal-to-noise ratio,
    ``sigma = b / a``, ``a`` and ``b`` are the amplitudes of signal and noise, ``da`` and ``db``
    their time derivatives, and ``dx = f x dt + g dw`` is the forward SDE.

    Attributes:
        lam: Half-log-SNR ``log(a / b)``.
        dlam: Its time derivative, negative.
        log_tau: Logarithm of the total standard deviation.
        dlog_tau: Its time derivative.
    """

    lam: Tensor
    dlam: Tensor
    log_tau: Tensor
    dlog_tau: Tensor

    tau = property(lambda self: torch.exp(self.log_tau))
    gamma = property(lambda self: torch.exp(self.lam))
    sigma = property(lambda self: torch.exp(-self.lam))
    a = property(lambda self: self.tau * unit_tv(self.lam)[0])
    b = property(lambda self: self.tau * unit_tv(self.lam)[1])
    da = property(lambda self: self.a * self.f)
    db = property(lambda self: self.b * (self.f - self.dlam))
    f = property(lambda self: self.dlog_tau + self.dlam * unit_tv(self.lam)[1] ** 2)
    g2 = property(lambda self: -2 * self.b**2 * self.dlam)


class Schedule(ABC):
    """Base of all schedules; a new one needs only ``lam``, as a frozen dataclass.

    Attributes:
        name: Name by which the schedule is chosen and stored.
        t_min: Smallest time at which the schedule is used.
        t_max: Largest time at which the schedule is used.

    Raises:
        UsageError: An empty time range, or a level that does not fall on it.
    """

    name: ClassVar[str]
    t_min: float
    t_max: float

    def __post_init__(self) -> None:
        if not self.t_min < self.t_max:
            span = f"[{self.t_min:g}, {self.t_max:g}]"
            raise UsageError(f"empty time range {span}", "Make t_min smaller than t_max")
        first, last = self.lam(torch.tensor([self.t_min, self.t_max], dtype=torch.float64)).tolist()
        if not first > last:
            raise UsageError(
                f"the half-log-SNR of {self} goes from {first:g} at t_min to {last:g} at t_max",
                "Give finite numbers and a time range on which it falls",
            )

    @abstractmethod
    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR at time ``t``, strictly decreasing."""

    def log_tau(self, t: Tensor) -> Tensor:
        """Logarithm of the total standard deviation; 0 unless a schedule says otherwise."""
        return torch.zeros_like(t)

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Time at which the half-log-SNR is ``lam``, by bisection within ``[t_min, t_max]``."""
        lam = lam.to(torch.float64)
        low, high = torch.full_like(lam, self.t_min), torch.full_like(lam, self.t_max)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            above = self.lam(middle) > lam
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return 0.5 * (low + high)

    def dlam(self, t: Tensor) -> Tensor:
        """Time derivative of ``lam``, by automatic differentiation."""
        return slope(self.lam, t)

    def dlog_tau(self, t: Tensor) -> Tensor:
        """Time derivative of ``log_tau``, by automatic differentiation."""
        return slope(self.log_tau, t)

    def coefficients(self, t: Tensor) -> Coefficients:
        """All coefficients at time ``t`` (any shape), in float64."""
        t = t.to(torch.float64)
        return Coefficients(self.lam(t), self.dlam(t), self.log_tau(t), self.dlog_tau(t))

    def with_tv(self, name: str) -> Schedule:
        """The same signal-to-noise ratio under another total variance.

        Args:
            name: ``"const"`` (tau = 1), ``"ot"`` (a + b = 1), ``"ve"`` (a = 1) or ``"native"``.

        Raises:
            UsageError: No such total variance.
        """
        return self if name == "native" else _reshape().WithVariance(self, name)

    def shift(self, log_m: float) -> Schedule:
        """The same path with every noise level multiplied by ``m``: ``lam`` less ``log_m``."""
        return _reshape().Shifted(self, log_m) if log_m else self

    def clip(self, sigma_min: float, sigma_max: float) -> Schedule:
        """The part of the schedule between two noise-to-signal ratios ``b / a``.

        Raises:
            UsageError: Nothing of the schedule lies between them.
        """
        return _reshape().Clipped(self, sigma_min, sigma_max)

    def zero_terminal(self) -> Schedule:
        """The schedule rescaled to end in pure noise, a = 0 at ``t_max``, at the same tau.

        Raises:
            UsageError: The signal does not fall, as where a = 1; replace the total variance first.
        """
        return _reshape().ZeroTerminal(self)


def _reshape() -> ModuleType:
    """What is built from schedules, and so cannot be loaded before they are defined."""
    from molgen.flow import reshape  # noqa: PLC0415

    return reshape


def slope(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Elementwise derivative, also inside ``no_grad`` and ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        point = t.detach().clone().requires_grad_()
        value = function(point)
        if not value.requires_grad:
            return torch.zeros_like(t)
        (gradient,) = torch.autograd.grad(value.sum(), point)
    return gradient
