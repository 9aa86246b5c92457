"""Positions whose bonds were turned about, with lengths and angles as they were.

How far a bond should turn is easily said; which atoms have to move for it is not, least of all in
rings. So the atoms are moved as little as that takes: least squares of the torsions that are
wanted, of the distances along one bond and two, which stay, and of the way that is gone, by a few
steps of Gauss and Newton. Every operation is equivariant under rotations, reflections and
permutations, and differentiable.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from molgen.nn.axes import Axes, dihedrals, mean_gradient, wrapped
from molgen.nn.block import pair_distances
from molgen.nn.linear import solution

STIFF = 0.033
"""Standard deviation of a distance along one bond or two, in units of the network's coordinates."""

LOOSE = 5.0
"""That of a position."""

STRIDE = 0.7
"""Radians that a bond turns at most in one iteration: farther, a tangent leaves the circle."""


def turned(
    pos: Tensor,
    axes: Axes,
    turn: Tensor,
    log_spread: Tensor,
    near: Tensor,
    mask: Tensor,
    n_iterations: int,
) -> Tensor:
    """Positions near ``pos``, ``[B, N, 3]``, whose bonds were turned about.

    Args:
        pos: Where the atoms are.
        axes: The bonds.
        turn: How far each should turn, radians, ``[B, E]``.
        log_spread: Logarithms of the standard deviations of that, ``[B, E]``.
        near: Where one bond or two lead from one atom to the other, ``[B, N, N]`` bool.
        mask: Real atoms, ``[B, N]`` bool; the others stay where they are.
        n_iterations: Iterations.
    """
    if not n_iterations:
        return pos
    # Springs are a hundred thousand times as stiff as what holds the whole molecule in place, so
    # single precision would let it drift.
    given, pos, turn, log_spread = pos, pos.double(), turn.double(), log_spread.double()
    axes = replace(axes, real=axes.real.double())
    batch, n, _ = pos.shape
    found = dihedrals(pos, axes)
    count = found.sound.sum(dim=(-1, -2)).clamp_min(1)
    share = found.sound / count[..., None, None]
    farthest = STRIDE * n_iterations
    wanted = found.angle + turn.clamp(-farthest, farthest)[..., None, None]
    sure = (-2 * log_spread).exp()
    length = pair_distances(pos[..., None]).squeeze(-1)
    stiffness = near.to(pos.dtype) / STIFF**2
    loose = torch.full_like(mask, LOOSE**-2, dtype=pos.dtype)[..., None].expand_as(pos)
    here = pos
    for _ in range(n_iterations):
        now = dihedrals(here, axes)
        off = wrapped(wanted - now.angle).clamp(-STRIDE, STRIDE)
        gradient = mean_gradient(now, axes, share, n).flatten(2)  # B E 3N
        weighted = gradient * sure[..., None]
        push = torch.einsum("bek,be->bk", weighted, (share * off).sum(dim=(-1, -2)))
        springs, pull = _springs(here, length, stiffness)
        matrix = weighted.transpose(1, 2) @ gradient + springs
        matrix = matrix + torch.diag_embed(loose.flatten(1))
        force = push + (pull + loose * (pos - here)).flatten(1)
        here = here + solution(matrix, force).view(batch, n, 3) * mask[..., None]
    return here.to(given.dtype)


def _springs(pos: Tensor, length: Tensor, stiffness: Tensor) -> tuple[Tensor, Tensor]:
    """Second derivatives along springs, ``[B, 3N, 3N]``, and their pull, ``[B, N, 3]``."""
    between = pos[:, :, None] - pos[:, None, :]
    found = (between.square().sum(dim=-1) + 1e-6).sqrt()
    along = between / found[..., None]
    blocks = stiffness[..., None, None] * along[..., :, None] * along[..., None, :]  # B N N 3 3
    own = torch.diag_embed(blocks.sum(dim=2).permute(0, 2, 3, 1)).permute(0, 3, 4, 1, 2)
    matrix = (own - blocks).permute(0, 1, 3, 2, 4).flatten(3, 4).flatten(1, 2)
    pull = ((stiffness * (length - found))[..., None] * along).sum(dim=2)
    return matrix, pull
