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
from molgen.nn.linear import inverse


def smacof(
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
