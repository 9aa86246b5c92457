"""Gaussian corruption of one modality, and the exact step back.

Everything here lives in the unit-total-variance frame, ``x = a x0 + b eps`` with
``a^2 + b^2 = 1``, and is labelled by the half-log-SNR ``lam = log(a / b)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import unit_tv
from molgen.flow.state import append_dims, expand_like


def center(x: Tensor, mask: Tensor) -> Tensor:
    """Move the mean of each molecule's real atoms (``mask``, bool, ``[B, N]``) to the origin.

    Returns a copy of ``x``, ``[B, N, F]``, whose padding rows are exactly zero.
    """
    real = expand_like(mask, x)
    n_atoms = real.sum(dim=1, keepdim=True).clamp_min(1)
    # In double precision, for the order of a sum depends on the padding.
    mean = (x * real).sum(dim=1, keepdim=True, dtype=torch.float64) / n_atoms
    return (x - mean.to(x.dtype)) * real


def exact_step(
    x_t: Tensor,
    x0: Tensor,
    lam_t: Tensor,
    lam_s: Tensor,
    rho: float = 0.0,
    z: Tensor | None = None,
    *,
    noise_decay: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Carry a state from level ``lam_t`` to ``lam_s`` as if ``x0`` were the clean data.

    The solution of the reverse SDE with noise strength ``rho`` for a frozen prediction: 0 is DDIM
    (Song et al. 2021), 1 ancestral sampling (Ho et al. 2020), infinity a full renoising. With
    ``sigma = b / a`` and ``r = sigma_s / sigma_t`` it is
    ``x_s = a_s (x0 + sigma_t r^(1 + rho^2) eps + sigma_s sqrt(1 - r^(2 rho^2)) z)``.
    At ``lam_s = inf`` it returns ``x0``; at ``lam_t = -inf`` (pure noise) ``eps`` is ``x_t``;
    rows with ``lam_s == lam_t`` stay as they are.

    Args:
        x_t: State in the unit-total-variance frame, ``[B, ...]``.
        x0: Predicted clean data, shaped like ``x_t``.
        lam_t: Present half-log-SNR, shape ``()``, ``[B]`` or ``[B, N]``.
        lam_s: Next half-log-SNR, not below ``lam_t``; same choice of shapes.
        rho: Strength of the noise, at least 0.
        z: Standard normal noise shaped like ``x_t``; ``None`` leaves the noise out.
        noise_decay: Exponent of ``r`` in the term with ``eps``, above 0; 1 is exact. Steps from
            pure noise or to clean data ignore it.
        s_noise: Scale of the fresh noise; 1 is exact.
    """
    lam_t, lam_s = lam_t.to(torch.float64), lam_s.to(torch.float64)
    gap = lam_s - lam_t
    (a_t, b_t), (a_s, b_s) = unit_tv(lam_t), unit_tv(lam_s)
    power = rho**2
    forgotten = power * gap if power else torch.zeros_like(gap)
    # Infinite gaps start at pure noise or end at clean data, where no power of r is defined.
    excess = (noise_decay - 1.0) * gap.masked_fill(gap.isinf(), 0.0)
    faded = noise_decay * forgotten + excess
    keep = b_s / b_t * torch.exp(-faded)
    pull = -a_s * torch.expm1(-gap - faded)
    # Back to pure noise, as inversions go, that is zero times infinity; this is its limit.
    pull = torch.where(lam_s.isneginf(), -keep * a_t, pull)
    x_s = expand_like(keep, x_t) * x_t + expand_like(pull, x_t) * x0
    if power and z is not None:
        fresh = s_noise * b_s * torch.sqrt(-torch.expm1(-2 * forgotten))
        x_s = x_s + expand_like(fresh, x_t) * z
    return torch.where(append_dims(lam_s == lam_t, x_t), x_t, x_s)


@dataclass(frozen=True)
class Gaussian:
    """Gaussian corruption of one modality.

    Attributes:
        zero_com: Whether noise has zero centre of mass per molecule (positions) or not
            (element logits, images).
    """

    zero_com: bool = False

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Clear the padding and, with ``zero_com``, centre each molecule: the process's subspace.

        ``x`` is ``[B, N, F]``, or any ``[B, ...]`` without a mask of real entries (bool, leading
        shape).
        """
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return center(x, mask) if self.zero_com else x * expand_like(mask, x)

    def prior(self, noise: Tensor, mask: Tensor | None = None) -> Tensor:
        """Starting state of sampling from standard normal ``noise``: the projected noise.

        Data of unit variance and noise mix to unit variance at every level.
        """
        return self.project(noise, mask)

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """The prior, whatever the level; `molgen.flow.extra.multi` knows data of other variance."""
        return self.prior(noise, mask)

    def corrupt(self, x0: Tensor, eps: Tensor, lam: Tensor) -> Tensor:
        """Noisy state ``a x0 + b eps`` of projected noise, ``lam`` leading the shape of ``x0``."""
        a, b = unit_tv(lam)
        return expand_like(a, x0) * x0 + expand_like(b, x0) * eps

    def step(
        self,
        x_t: Tensor,
        x0: Tensor,
        lam_t: Tensor,
        lam_s: Tensor,
        rho: float = 0.0,
        z: Tensor | None = None,
    ) -> Tensor:
        """Exact step from ``lam_t`` to ``lam_s``; see ``exact_step``. ``z`` must be projected."""
        return exact_step(x_t, x0, lam_t, lam_s, rho, z)


@dataclass(frozen=True)
class ScaledOneHot(Gaussian):
    """Classes as centred one-hot vectors, ``(p - 1 / K) scale`` (after 2203.17003).

    The network's softmax gives the expected vector, which is the clean data that solvers need.

    Attributes:
        zero_com: Off: the mean class of a molecule is information.
        scale: Size of the vectors, above 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UsageError(f"class codes of scale {self.scale:g}", "Give a scale above 0")

    def encode(self, probability: Tensor) -> Tensor:
        """Expected vectors ``[..., F]`` of probabilities or one-hot rows ``[..., K]``."""
        return (probability - 1 / probability.shape[-1]) * self.scale

    def decode(self, x: Tensor) -> Tensor:
        """Class with the nearest vector, int64 ``[...]``, for vectors ``[..., F]``."""
        return x.argmax(dim=-1)

    def clean_from_logits(self, logits: Tensor) -> Tensor:
        """Expected vectors ``[..., F]`` under a classifier's logits ``[..., K]``."""
        return self.encode(logits.softmax(dim=-1))
