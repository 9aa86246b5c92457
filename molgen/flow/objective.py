"""What training minimises for one modality: noise the data, call the network, compare.

The loss is the squared error of the clean data times a weight of the noise level. A network that
predicts something else is compared in its own space, which is better conditioned, with the weight
that makes the two errors equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from molgen.flow.asynchronous import CLEAN_LEVEL, is_given
from molgen.flow.coupling import Coupling
from molgen.flow.parameterisation import Parameterisation
from molgen.flow.process import Gaussian
from molgen.flow.schedule import unit_tv
from molgen.flow.state import expand_like
from molgen.flow.times import LevelSampler
from molgen.flow.weighting import Weighting

Network: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``network(x, lam) -> out``: unit-total-variance state and its levels ``[B]`` or ``[B, N]`` in,
the predicted clean data, noise or velocity out."""


@dataclass(frozen=True)
class Loss:
    """Result of one training step.

    Attributes:
        per_sample: Loss of each sample, ``[B]``; its mean is what to minimise.
        lam: Half-log-SNR that was drawn, ``[B]`` or ``[B, N]``; ``IntervalWeights`` needs it.
    """

    per_sample: Tensor
    lam: Tensor


@dataclass(frozen=True)
class Objective:
    """Denoising of one modality: images, positions, or points of a toy.

    Attributes:
        process: Corrupts the data.
        coupling: Chooses the noise for the data.
        times: Draws the levels, per sample or per row.
        weighting: Weight of the squared error of the clean data.
        parameterisation: What the network predicts.
    """

    process: Gaussian
    coupling: Coupling
    times: LevelSampler
    weighting: Weighting
    parameterisation: Parameterisation

    def loss(
        self,
        network: Network,
        x0: Tensor,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        """Loss of one batch of clean data ``x0`` of about unit variance, on the process's subspace.

        Conditions are the network's own business; the draw happens on the generator's device.
        """
        lam = self.times.levels(x0, generator, mask)
        home = generator.device if generator is not None else torch.device("cpu")
        normal = torch.randn(x0.shape, generator=generator, device=home, dtype=x0.dtype)
        noise = self.process.prior(normal.to(x0.device), mask)
        eps = self.coupling.pair(x0, noise, mask).noise
        out = network(self.process.corrupt(x0, eps, lam), lam)
        per_sample = denoising_loss(
            out, x0, eps, lam, self.parameterisation, self.weighting, mask=mask
        )
        return Loss(per_sample, lam)


def denoising_loss(
    out: Tensor,
    x0: Tensor,
    eps: Tensor,
    lam: Tensor,
    parameterisation: Parameterisation,
    weighting: Weighting,
    mask: Tensor | None = None,
) -> Tensor:
    """Loss of a network's output in the space of its own predictions, ``[B]``.

    Every parameterisation is affine, ``x0 = (..) x + s out`` with a slope ``s`` that depends on the
    level only, so ``|x0_hat - x0|^2 = s^2 |out - target|^2`` exactly: ``s^2`` is 1 for data,
    ``sigma^2`` for noise and ``b^2`` for velocity. The mean is over real entries; rows at
    ``CLEAN_LEVEL`` or above are given rather than predicted and do not count.

    Args:
        out: Output of the network, shaped like ``x0``.
        x0: Clean data, ``[B, ...]``.
        eps: The noise that was mixed in, shaped like ``x0``.
        lam: Half-log-SNR, ``[B]`` or ``[B, N]``.
        parameterisation: What the network predicts.
        weighting: Weight of the squared error of the clean data.
        mask: Real rows, bool, ``[B, N]``; ``None`` if all are.
    """
    level = lam.to(torch.float64).clamp_max(CLEAN_LEVEL)
    slope = parameterisation.x0(torch.ones_like(level), torch.zeros_like(level), level)
    a, b = (expand_like(amplitude, x0) for amplitude in unit_tv(level))
    target = parameterisation.target(x0, eps, a, b)
    return _mean_square(out - target, weighting(level) * slope.square(), lam, mask)


def clean_error(
    estimate: Tensor, x0: Tensor, lam: Tensor, weighting: Weighting, mask: Tensor | None = None
) -> Tensor:
    """Loss of an estimate of the clean data, whatever was predicted; see `denoising_loss`."""
    return _mean_square(estimate - x0, weighting(lam.clamp_max(CLEAN_LEVEL)), lam, mask)


def _mean_square(error: Tensor, weight: Tensor, lam: Tensor, mask: Tensor | None) -> Tensor:
    """Weighted mean square of each sample, ``[B]``, over real rows that are not given."""
    squared = error.square().flatten(2).sum(dim=-1) if error.dim() > 2 else error.square()
    counted = torch.ones_like(squared) if mask is None else mask.to(error.dtype)
    weight = weight.to(error.dtype)
    if lam.dim() == 2:
        counted = counted * ~is_given(lam)
    entries = error[0, 0].numel() * counted.sum(dim=1).clamp_min(1)
    if lam.dim() == 2:
        return (squared * counted * weight).sum(dim=1) / entries
    return (squared * counted).sum(dim=1) / entries * weight
