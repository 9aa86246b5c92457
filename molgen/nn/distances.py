"""Beliefs about the distances between atoms, and positions that follow from them.

One pass moves every atom on its own account, so errors of bonds add up along rings and chains. A
distance is easier said than a position: it depends on few atoms around. So distances are said, each
with its spread, and stress majorisation finds the positions most probable under them all, with
positions that there are already as a prior. It is part of a call, not a call of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.smacof import smacof

SPREADS = (0.006, 0.5)
"""Least and largest standard deviation of a distance, in units of the network's coordinates.

Their ratio bounds the condition of the linear system. It is solved in double precision: in single
precision molecules moved by 0.0001 Å with the batch that they were in.
"""

FIRST_SPREAD = 0.05
"""Spread of a distance before there was any training."""

OWN_SPREADS = (0.01, 0.5)
"""Least and largest standard deviation of a position."""

FIRST_OWN_SPREAD = 0.1

STEP = 0.3
"""Units of coordinates per unit of the head's output: a correction is a fraction of a bond."""


@dataclass(frozen=True)
class Distances:
    """Beliefs about distances, in units of the network's coordinates.

    Attributes:
        mean: Expected distances, symmetric, ``[B, N, N]``.
        log_spread: Logarithms of their standard deviations, symmetric, ``[B, N, N]``.
        log_own: Logarithms of the standard deviations of the positions, ``[B, N]``.
    """

    mean: Tensor
    log_spread: Tensor
    log_own: Tensor

    @classmethod
    def near(cls, found: Tensor, said: Tensor, own: Tensor) -> Distances:
        """Beliefs near the distances of given positions: exactly these where nothing is said.

        Args:
            found: Distances of the positions, ``[B, N, N]``.
            said: Correction and logarithm of the spread, both relative, ``[B, N, N, 2]``.
            own: Logarithms of the spread of the positions, relative, ``[B, N]``.
        """
        # Under autocast, sums of the same numbers in another order are not the same.
        shift, spread = ((said + said.transpose(1, 2)) / 2).to(found.dtype).unbind(dim=-1)
        return cls(
            mean=(found + STEP * shift).clamp_min(STEP),
            log_spread=_within(math.log(FIRST_SPREAD) + spread, SPREADS),
            log_own=_within(math.log(FIRST_OWN_SPREAD) + own.to(found.dtype), OWN_SPREADS),
        )

    def fitted(self, pos: Tensor, mask: Tensor, n_iterations: int) -> Tensor:
        """Positions near ``pos``, ``[B, N, 3]``, with these distances."""
        with torch.autocast(pos.device.type, enabled=False):
            mean, log_spread, log_own = (
                one.double() for one in (self.mean, self.log_spread, self.log_own)
            )
            weight, anchor = (-2 * log_spread).exp(), (-2 * log_own).exp()
            return smacof(pos.double(), mean, weight, anchor, mask, n_iterations).to(pos.dtype)


def _within(log: Tensor, bounds: tuple[float, float]) -> Tensor:
    least, largest = bounds
    return log.clamp(math.log(least), math.log(largest))
