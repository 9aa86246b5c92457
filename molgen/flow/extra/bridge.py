"""Bridges from an estimate to the data: ``x_t = a x0 + c x_hat + b eps``.

``x_hat`` is what is known beforehand, for instance a force-field conformer or a degraded image.
A path gives the weights a, c and b as functions of ``lam = log(a / b)``, half the log-SNR, so
that bridges share their levels with all other processes. A bridge keeps its native frame, in which
the estimate is not scaled; ``Bridge.denoiser`` carries a network over to the frame of solvers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from molgen.errors import UsageError
from molgen.flow.process import Gaussian, center
from molgen.flow.schedule import unit_tv
from molgen.flow.state import Lead, append_dims, expand_like, level


class Weights(NamedTuple):
    """Weights of data, estimate and noise at one level, float64."""

    a: Tensor
    c: Tensor
    b: Tensor


class Path(Protocol):
    """Weights of a bridge as functions of half-log-SNR of any shape."""

    def weights(self, lam: Tensor) -> Weights:
        """Weights with ``log(a / b) = lam``; data only at infinity."""

    def memory(self, lam: Tensor) -> Tensor:
        """Logarithm of ``b / d`` where forward steps shrink earlier noise in proportion to ``d``.

        Its fall over a step back is minus the logarithm of the correlation between the noise at
        both ends in the exact posterior.
        """


@dataclass(frozen=True)
class Straight:
    """No estimate, c = 0 and ``a^2 + b^2 = 1``: the plain Gaussian process."""

    def weights(self, lam: Tensor) -> Weights:
        a, b = unit_tv(lam)
        return Weights(a, torch.zeros_like(a), b)

    def memory(self, lam: Tensor) -> Tensor:
        return -lam.to(torch.float64)


@dataclass(frozen=True)
class ResShift:
    """Residual shifting, ``x_t = x0 + eta (x_hat - x0) + kappa sqrt(eta) eps``.

    Yue et al. 2023 (arXiv 2307.12348, equation 2); ``(1 - eta) / (kappa sqrt(eta)) = exp(lam)``.
    ``kappa`` is the noise of the estimate in units of the data, above 0.
    """

    kappa: float = 2.0

    def __post_init__(self) -> None:
        _require_positive(kappa=self.kappa)

    def weights(self, lam: Tensor) -> Weights:
        """Weights ``1 - eta``, ``eta`` and ``kappa sqrt(eta)``, finite at pure noise too."""
        signal, noise = unit_tv(lam)
        signal = self.kappa * signal
        whole = signal + torch.sqrt(signal**2 + 4 * noise**2)
        root = 2 * noise / whole
        return Weights(2 * signal / whole, root**2, self.kappa * root)

    def memory(self, lam: Tensor) -> Tensor:
        return torch.log(self.weights(lam).b)

    def lam(self, eta: Tensor) -> Tensor:
        """Half-log-SNR at the share ``eta`` of the estimate, in (0, 1]."""
        eta = eta.to(torch.float64)
        return torch.log1p(-eta) - torch.log(self.kappa * torch.sqrt(eta))

    def levels(self, n_steps: int, p: float = 0.3) -> Tensor:
        """The paper's geometric sequence of ``sqrt(eta)`` (equation 10), from noise to data.

        Half-log-SNR, increasing, float64, ``[n_steps]``, two or more; p < 1 lets eta grow early.
        """
        if n_steps < 2:
            raise UsageError(f"a sequence of {n_steps} levels", "Ask for 2 levels or more")
        first, last = min((0.04 / self.kappa) ** 2, 0.001), 0.999
        share = torch.linspace(1, 0, n_steps, dtype=torch.float64) ** p
        return self.lam(first * (last / first) ** share)


@dataclass(frozen=True)
class Resfusion:
    """Residual denoising, ``x_t = s x0 + (1 - s)(x_hat - x0) + sqrt(1 - s^2) eps``.

    Shi et al. 2023 (arXiv 2311.14900). The data vanish at s = 1/2, half-log-SNR minus infinity,
    where the state is ``x_hat / 2 + sqrt(3) / 2 eps``: a start that needs no approximation.
    """

    def weights(self, lam: Tensor) -> Weights:
        """The root ``s`` of ``2 s - 1 = exp(lam) sqrt(1 - s^2)``, free of cancellation."""
        signal, noise = unit_tv(lam)
        power = noise**2
        root = torch.sqrt(1 + 2 * power)
        scale = (2 * root - signal) / (1 + 3 * power)
        return Weights(signal * scale, power / (1 + power + signal * root), noise * scale)

    def memory(self, lam: Tensor) -> Tensor:
        _, c, b = self.weights(lam)
        return torch.log(b) - torch.log1p(-c)


@dataclass(frozen=True)
class OU:
    """Ornstein-Uhlenbeck drift towards the estimate with exploding variance (SGMSE).

    The forward SDE over t in [0, 1] is ``dx = theta (x_hat - x) dt + g dw`` with
    ``g = sigma_min r^t sqrt(2 log r)`` and ``r = sigma_max / sigma_min`` (Richter et al. 2023,
    arXiv 2208.05830, equations 4 to 7). Its mean has ``a = exp(-theta t)`` and ``c = 1 - a``, its
    variance ``sigma_min^2 (r^(2t) - exp(-2 theta t)) log r / (theta + log r)``.
    """

    theta: float = 1.5
    sigma_min: float = 0.05
    sigma_max: float = 0.5

    def __post_init__(self) -> None:
        _require_positive(theta=self.theta, sigma_min=self.sigma_min)
        if not self.sigma_min < self.sigma_max:
            ends = f"[{self.sigma_min:g}, {self.sigma_max:g}]"
            raise UsageError(f"empty range of noise {ends}", "Make sigma_min the smaller one")

    @property
    def _log_scale(self) -> float:
        """Logarithm of ``sigma_min^2 log r / (theta + log r)``, the unit of ``(b / a)^2``."""
        growth = math.log(self.sigma_max / self.sigma_min)
        return 2 * math.log(self.sigma_min) + math.log(growth / (self.theta + growth))

    @property
    def _rate(self) -> float:
        """Growth rate of ``(b / a)^2`` in time."""
        return 2 * (self.theta + math.log(self.sigma_max / self.sigma_min))

    def lam(self, t: Tensor) -> Tensor:
        """Half-log-SNR at time ``t``; ``lam(1)`` is where sampling starts."""
        return -0.5 * (self._log_scale + torch.log(torch.expm1(self._rate * t.to(torch.float64))))

    def t_of_lam(self, lam: Tensor) -> Tensor:
        """Time at half-log-SNR ``lam``, which must be above minus infinity."""
        return softplus(-2 * lam.to(torch.float64) - self._log_scale) / self._rate

    def weights(self, lam: Tensor) -> Weights:
        t = self.t_of_lam(lam)
        a = torch.exp(-self.theta * t)
        return Weights(a, -torch.expm1(-self.theta * t), torch.exp(-lam.to(torch.float64)) * a)

    def memory(self, lam: Tensor) -> Tensor:
        return -lam.to(torch.float64)


@dataclass(frozen=True, eq=False)
class Bridge:
    """Process of one batch between data and its estimate, in the path's native frame.

    Attributes:
        path: Weights at each level.
        x_hat: Estimate of the data, shaped like it; aligned to it in training.
        noise_scale: Noise of each atom in units of the path's, broadcastable against the data:
            more where the estimate is unsure (Zhang et al. 2025, arXiv 2503.18512).
        mask: Real rows, bool, ``[B, N]``; ``None`` where all are real.
        zero_com: Whether noise has zero centre of mass per molecule.
    """

    path: Path
    x_hat: Tensor
    noise_scale: Tensor | None = None
    mask: Tensor | None = None
    zero_com: bool = False

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Clear the padding and, with ``zero_com``, centre each molecule."""
        return Gaussian(self.zero_com).project(x, self.mask if mask is None else mask)

    def scaled(self, noise: Tensor) -> Tensor:
        """Noise as it enters the state: each atom's own scale, then projected again."""
        if self.noise_scale is None:
            return noise
        return self.project(noise * self.noise_scale.to(noise))

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at ``lam`` with the estimate in place of the unknown data."""
        return self.corrupt(self.x_hat, self.project(noise, mask), lam)

    def corrupt(self, x0: Tensor, noise: Tensor, lam: Tensor) -> Tensor:
        """Noisy state ``a x0 + c x_hat + b eps`` from projected ``noise``."""
        a, c, b = (expand_like(weight, x0) for weight in self.path.weights(lam))
        return a * x0 + b * self.scaled(noise) + c * self.x_hat

    def step(
        self,
        x_t: Tensor,
        x0: Tensor,
        lam_t: Tensor,
        lam_s: Tensor,
        rho: float = 0.0,
        z: Tensor | None = None,
    ) -> Tensor:
        """Exact step with a frozen prediction, of the shapes of `molgen.flow.process.exact_step`.

        ``x_s = a_s x0 + c_s x_hat + b_s (q eps + sqrt(1 - q^2) z)`` with the noise ``eps`` of
        ``x_t`` and ``q = 1`` for ``rho = 0``, the forward process's own posterior for
        ``rho = 1``, and independent noise for infinity. ``z`` is projected noise.
        """
        lam_t, lam_s = lam_t.to(torch.float64), lam_s.to(torch.float64)
        (_, c_t, b_t), (a_s, c_s, b_s) = self.path.weights(lam_t), self.path.weights(lam_s)
        fall = self.path.memory(lam_t) - self.path.memory(lam_s)
        power = rho**2
        forgotten = power * fall if power else torch.zeros_like(fall)
        keep = b_s / b_t * torch.exp(-forgotten)
        pull = -a_s * torch.expm1(-(lam_s - lam_t) - forgotten)
        x_s = expand_like(keep, x_t) * x_t + expand_like(pull, x_t) * x0
        if power and z is not None:
            fresh = b_s * torch.sqrt(-torch.expm1(-2 * forgotten))
            x_s = x_s + expand_like(fresh, x_t) * self.scaled(z)
        x_s = x_s + expand_like(c_s - keep * c_t, x_t) * self.x_hat
        return torch.where(append_dims(lam_s == lam_t, x_t), x_t, x_s)

    def unit(self, x: Tensor, lam: Tensor) -> Tensor:
        """The state without the estimate, scaled to unit total variance: solvers' frame."""
        a, c, b = self.path.weights(lam)
        return (x - expand_like(c, x) * self.x_hat) / expand_like(torch.hypot(a, b), x)

    def native(self, y: Tensor, lam: Tensor) -> Tensor:
        """Inverse of ``unit``."""
        a, c, b = self.path.weights(lam)
        return expand_like(torch.hypot(a, b), y) * y + expand_like(c, y) * self.x_hat

    def denoiser(
        self, denoise: Callable[[Tensor, Tensor], Tensor], lead: Lead = 0.0
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """A network that sees native states, for solvers; ``lead`` as in the solver's offsets."""
        return lambda y, lam: denoise(self.native(y, level(lead, float(lam))), lam)


@dataclass(frozen=True, eq=False)
class FromStructure:
    """A prior: start from an estimate instead of pure noise; see ``Bridge`` for the attributes.

    With the default path this is SDEdit (Meng et al. 2021, arXiv 2108.01073).
    """

    x_hat: Tensor
    path: Path = field(default_factory=Straight)
    noise_scale: Tensor | None = None
    zero_com: bool = False

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at ``lam`` with the estimate in place of the data."""
        bridge = Bridge(self.path, self.x_hat, self.noise_scale, mask, self.zero_com)
        return bridge.start(noise, lam, mask)


def aligned(x_hat: Tensor, x0: Tensor, mask: Tensor) -> Tensor:
    """Estimates ``[B, N, 3]``, centred and rotated onto the data (Kabsch 1976)."""
    guess, data = center(x_hat, mask), center(x0, mask)
    u, _, vh = torch.linalg.svd(guess.transpose(1, 2) @ data)
    proper = torch.ones(len(u), 3, dtype=u.dtype, device=u.device)
    proper[:, 2] = torch.linalg.det(u @ vh).sign()
    return guess @ (u * proper[:, None]) @ vh


def _require_positive(**numbers: float) -> None:
    """Reject numbers that are not above 0."""
    for name, value in numbers.items():
        if not value > 0:
            raise UsageError(f"bridge with {name} {value:g}", f"Give {name} above 0")
