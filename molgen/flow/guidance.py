"""Guidance: denoisers made from denoisers, for any solver.

All of it acts on the predicted clean data, so it does not depend on what a network predicts or on
the frame of a solver, and energies see real geometries rather than noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import State, expand_like, tree_map

Interval: TypeAlias = tuple[float, float]
"""Range of half-log-SNR, both ends included."""

Energy: TypeAlias = Callable[[State], Tensor]
"""Energy of each sample, ``[B]``, differentiable in a clean state in the units of the state."""

EVERYWHERE: Interval = (-math.inf, math.inf)

_TINY = 1e-12  # keeps square roots of zero differentiable and quotients finite


def classifier_free(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: float,
    *,
    interval: Interval = EVERYWHERE,
    rescale: float = 0.0,
) -> Denoiser:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) on the clean data.

    ``x0 = u + scale (c - u)``; the same line holds for noise and velocity predictions.

    Args:
        conditional: Denoiser that knows the condition.
        unconditional: Denoiser that does not.
        scale: 0 ignores the condition, 1 is the conditional denoiser (the paper's ``w`` + 1).
        interval: Levels with guidance; outside, only the conditional denoiser is called
            (Kynkäänniemi et al. 2024, arXiv 2404.07724).
        rescale: Share, 0 to 1, of the correction that gives each sample the magnitude of the
            conditional prediction (after Lin et al. 2023, arXiv 2305.08891, section 3.4).
    """
    _check_interval(interval)
    if not 0 <= rescale <= 1:
        raise UsageError(f"rescale is {rescale}", "Give a share from 0 to 1")
    if scale == 1:
        return conditional

    def guide(known: Tensor, blind: Tensor) -> Tensor:
        guided = blind + scale * (known - blind)
        if not rescale:
            return guided
        ratio = _norm(known) / _norm(guided).clamp_min(_TINY)
        return guided * expand_like(1 - rescale + rescale * ratio, guided)

    def denoise(x: State, lam: Tensor) -> State:
        known = conditional(x, lam)
        if not _inside(lam, interval):
            return known
        return tree_map(guide, known, unconditional(x, lam))

    return denoise


def posterior_variance(lam: Tensor) -> Tensor:
    """``b^2``, the variance of unit normal data given their noisy state at unit total variance."""
    return unit_tv(lam)[1] ** 2


def energy_guided(
    denoise: Denoiser,
    energy: Energy,
    strength: float,
    *,
    scaling: Callable[[Tensor], Tensor] = posterior_variance,
    interval: Interval = EVERYWHERE,
    clip: float = math.inf,
) -> Denoiser:
    """Lower an energy of the predicted clean data, as HIR-Diff does (arXiv 2402.15865).

    ``x0 <- x0 - strength scaling(lam) grad E(x0)``. For data with density ``p(x0) exp(-E)`` the
    exact shift is ``-Cov(x0 | x) grad E`` to first order in ``E``, which the default scaling
    approximates at strength 1. One gradient of the energy per call, none of the network. The shift
    inherits the symmetries of the energy; modalities that it does not read stay as they are.

    Args:
        denoise: The denoiser.
        energy: Energy per sample of a clean state; tensors that it holds on to must not have been
            made under ``torch.inference_mode``.
        strength: Factor of the shift; 0 switches it off.
        scaling: Factor that depends on the level.
        interval: Levels with guidance.
        clip: Longest shift of any row of a modality in units of the state, above 0; a sample that
            exceeds it has its whole shift shortened, which keeps direction and centre of mass.
    """
    _check_interval(interval)
    if clip <= 0:
        raise UsageError(f"guidance is clipped at {clip}", "Give a length above 0")

    def guided(x: State, lam: Tensor) -> State:
        x0 = denoise(x, lam)
        if not strength or not _inside(lam, interval):
            return x0
        factor = strength * float(scaling(lam))

        def move(clean: Tensor, slope: Tensor) -> Tensor:
            return clean - _clipped(factor * slope, clip)

        return tree_map(move, x0, _gradient(energy, x0))

    return guided


def clash_energy(pos: Tensor, mask: Tensor, radii: Tensor | float) -> Tensor:
    """Overlap of soft spheres: ``sum (r_i + r_j - d_ij)^2`` over pairs that are too close, ``[B]``.

    Args:
        pos: Positions, ``[B, N, 3]``; the energy is in their squared unit.
        mask: Real atoms, bool, ``[B, N]``.
        radii: Radius of each atom, ``[B, N]``, or of all; same unit as ``pos``.
    """
    radius = torch.as_tensor(radii, dtype=pos.dtype, device=pos.device).expand(mask.shape)
    reach = radius[:, :, None] + radius[:, None, :]
    n = pos.shape[1]
    pairs = (mask[:, :, None] & mask[:, None, :]).triu(diagonal=1)
    difference = pos[:, :, None] - pos[:, None, :]
    distance = (difference.square().sum(dim=-1) + _TINY).sqrt()
    overlap = (reach - distance).clamp_min(0).square()
    return (overlap * pairs).reshape(-1, n * n).sum(dim=1)


def _gradient(energy: Energy, x0: State) -> State:
    """Gradient of the energy at ``x0``, also inside ``no_grad`` and ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        point = tree_map(lambda x: x.detach().clone().requires_grad_(), x0)
        leaves = [point] if isinstance(point, Tensor) else list(point.values())
        # Samples do not see each other, so the gradient of the sum is that of each.
        slopes = torch.autograd.grad(
            energy(point).sum(), leaves, allow_unused=True, materialize_grads=True
        )
    if isinstance(point, Tensor):
        return slopes[0]
    return dict(zip(point, slopes, strict=True))


def _clipped(shift: Tensor, clip: float) -> Tensor:
    """``shift`` shortened, sample by sample, until no row is longer than ``clip``."""
    if math.isinf(clip):
        return shift
    longest = shift.reshape(*shift.shape[:2], -1).norm(dim=2).amax(dim=1)
    return shift * expand_like((clip / longest.clamp_min(_TINY)).clamp_max(1), shift)


def _norm(x: Tensor) -> Tensor:
    """Length of each sample as one vector, ``[B]``."""
    return x.flatten(1).norm(dim=1)


def _inside(lam: Tensor, interval: Interval) -> bool:
    """Whether the main level lies in the interval."""
    return interval[0] <= float(lam) <= interval[1]


def _check_interval(interval: Interval) -> None:
    """Reject an interval that holds no level."""
    low, high = interval
    if not low < high:
        raise UsageError(f"empty interval of guidance [{low:g}, {high:g}]", "Swap its two ends")
