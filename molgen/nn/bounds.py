"""Positions within bounds on distances: damped Gauss–Newton steps over all pairs of a molecule.

A network that averages over what may come makes bonds too short. Distances over one bond and two
hardly depend on the conformer, so they can be put right afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 8
"""Gauss–Newton steps; the error of bonds no longer changes."""

LOOSE = 0.3
"""Standard deviation of a position per step, Å: small steps keep to where they began."""


def within_bounds(
    pos: Tensor, lower: Tensor, upper: Tensor, stiffness: Tensor, steps: int = STEPS
) -> Tensor:
    """Positions near ``pos`` whose distances keep to their bounds, ``[B, N, 3]``.

    Args:
        pos: Å, ``[B, N, 3]``.
        lower: Least distances, Å, ``[B, N, N]``, symmetric.
        upper: Largest distances, likewise.
        stiffness: Inverse variances of distances out of bounds, Å⁻², ``[B, N, N]``, symmetric; 0
            for pairs that do not count, the diagonal among them.
        steps: Gauss–Newton steps.
    """
    here = pos.double()
    lower, upper, stiffness = lower.double(), upper.double(), stiffness.double()
    n = pos.shape[1]
    tether = torch.eye(3 * n, dtype=here.dtype, device=here.device) / LOOSE**2
    for _ in range(steps):
        away = here[:, :, None] - here[:, None]
        found = away.square().sum(dim=-1).add(1e-12).sqrt()
        missing = found.clamp(lower, upper) - found
        along = away / found[..., None]
        weight = stiffness * (missing != 0)
        force = (weight * missing)[..., None] * along
        blocks = weight[..., None, None] * along[..., :, None] * along[..., None, :]
        normal = torch.diag_embed(blocks.sum(dim=2).permute(0, 2, 3, 1)).permute(0, 3, 4, 1, 2)
        normal = (normal - blocks).transpose(2, 3).reshape(len(pos), 3 * n, 3 * n)
        factor = torch.linalg.cholesky(normal + tether)
        step = torch.cholesky_solve(force.sum(dim=2).reshape(len(pos), 3 * n, 1), factor)
        here = here + step.reshape(here.shape)
    return here.to(pos.dtype)
