"""Positions that agree best with distances that are believed in.

Weighted least squares of distances has no closed form, but a majorising quadratic that does: each
iteration solves one linear system per molecule, whose matrix never changes (the Guttman transform;
de Leeuw 1977, "Applications of convex analysis to multidimensional scaling"). Every operation is
equivariant under rotations, reflections and permutations, and differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.nn.block import pair_distances


def majorized(
    pos: Tensor,
    distance: Tensor,
    weight: Tensor,
    anchor: Tensor,
    mask: Tensor,
    n_iterations: int,
) -> Tensor:
    """Lessen the sum of ``weight * (|x_i - x_j| - distance)²`` and ``anchor * |x_i - pos_i|²``.

    Pairs count once in the sum. All iterations but the last go twice as far as the majorising
    function says, which halves their number (de Leeuw and Heiser 1980, "Multidimensional scaling
    with restrictions on the configuration").

    Args:
        pos: Where the atoms are to begin with, ``[B, N, 3]``.
        distance: Wanted distances, symmetric, ``[B, N, N]``.
        weight: Their precisions, symmetric and not negative, ``[B, N, N]``.
        anchor: Precisions of ``pos``, positive, ``[B, N]``.
        mask: Real atoms, ``[B, N]`` bool; the others stay where they are.
        n_iterations: Iterations; 0 returns ``pos``.

    Returns:
        Positions, ``[B, N, 3]``.
    """
    if not n_iterations:
        return pos
    n = pos.shape[1]
    others = ~torch.eye(n, dtype=torch.bool, device=pos.device)
    weight = weight * (mask[:, :, None] & mask[:, None, :] & others)
    anchor = torch.where(mask, anchor, 1.0)
    stiffness = torch.diag_embed(weight.sum(dim=-1) + anchor) - weight
    inverse = inverse_by_factor if pos.device.type == "cpu" else inverse_by_elimination
    compliance = inverse(stiffness)
    here = pos
    for iteration in range(n_iterations):
        # Moves rather than places are solved for: they are small, and so are their rounding errors.
        found = pair_distances(here[..., None]).squeeze(-1)
        push = weight * (distance / found - 1)
        force = push.sum(dim=-1, keepdim=True) * here - push @ here
        force = force + anchor[..., None] * (pos - here)
        reach = 1 if iteration == n_iterations - 1 else 2
        here = here + reach * (compliance @ force)
    return here


def inverse_by_factor(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite matrices, ``[B, N, N]``, by Cholesky's factor."""
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))


def inverse_by_elimination(matrix: Tensor) -> Tensor:
    """The same by Gauss-Jordan elimination, which a positive definite matrix needs no pivots for.

    Libraries for GPUs factor one small matrix after the other and ask the host whether they could;
    this is N rank-one updates of the whole batch, which a CUDA graph can hold.
    """
    n = matrix.shape[-1]
    unit = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    rest = torch.cat([matrix, unit.expand_as(matrix)], dim=-1)
    for k in range(n):
        row = rest[:, k] / rest[:, k, k, None]
        # The k-th row becomes `row`; the others lose their share of it.
        rest = rest - (rest[:, :, k] - unit[k])[..., None] * row[:, None]
    return rest[..., n:]
