"""Positions that have the lengths, torsions and heights that are wanted of them.

How far a bond should turn is easily said; which atoms have to move for it is not, least of all in
rings. So positions are found by least squares of everything that is wanted, each as far as it is
sure, and of the way that is gone, in a few steps of Gauss and Newton. Every operation is
equivariant under rotations, reflections and permutations, and differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molgen.nn.axes import Axes, dihedrals, mean_gradient, wrapped
from molgen.nn.centres import Centres, height_gradient, pyramids
from molgen.nn.linear import solution

LOOSE = 5.0
"""Standard deviation of a position, in units of the network's coordinates."""

STRIDE = 0.7
"""Radians that a bond turns at most in one iteration: farther, a tangent leaves the circle."""


@dataclass(frozen=True)
class Wanted:
    """What a molecule should be like, in units of the network's coordinates.

    Attributes:
        length: Distances, symmetric, ``[B, N, N]``.
        stiffness: Their precisions, symmetric, ``[B, N, N]``; 0 where nothing is wanted.
        axes: Bonds to turn about.
        turn: How far each should turn, radians, ``[B, E]``.
        log_turn: Logarithms of the deviations from that, ``[B, E]``.
        centres: Atoms with three neighbours.
        rise: How much farther each should stand out, ``[B, C]``.
        log_rise: Logarithms of the deviations from that, ``[B, C]``.
    """

    length: Tensor
    stiffness: Tensor
    axes: Axes
    turn: Tensor
    log_turn: Tensor
    centres: Centres
    rise: Tensor
    log_rise: Tensor

    def double(self) -> Wanted:
        """The same in double precision."""
        return Wanted(
            length=self.length.double(),
            stiffness=self.stiffness.double(),
            axes=replace(self.axes, real=self.axes.real.double()),
            turn=self.turn.double(),
            log_turn=self.log_turn.double(),
            centres=replace(self.centres, real=self.centres.real.double()),
            rise=self.rise.double(),
            log_rise=self.log_rise.double(),
        )


def settled(pos: Tensor, wanted: Wanted, mask: Tensor, n_iterations: int) -> Tensor:
    """Positions near ``pos``, ``[B, N, 3]``, that are as they are wanted.

    Args:
        pos: Where the atoms are, and what turns and rises are counted from.
        wanted: What they should be like.
        mask: Real atoms, ``[B, N]`` bool; the others stay where they are.
        n_iterations: Iterations.
    """
    if not n_iterations:
        return pos
    # Springs are a hundred thousand times as stiff as what holds the whole molecule in place, so
    # single precision would let it drift.
    given, pos, wanted = pos, pos.double(), wanted.double()
    axes, centres = wanted.axes, wanted.centres
    batch, n, _ = pos.shape
    found = dihedrals(pos, axes)
    share = found.sound / found.sound.sum(dim=(-1, -2), keepdim=True).clamp_min(1)
    farthest = STRIDE * n_iterations
    angle = found.angle + wanted.turn.clamp(-farthest, farthest)[..., None, None]
    height = pyramids(pos, centres).height + wanted.rise
    sure = torch.cat([(-2 * wanted.log_turn).exp(), (-2 * wanted.log_rise).exp()], dim=1)
    loose = torch.full_like(mask, LOOSE**-2, dtype=pos.dtype)[..., None].expand_as(pos)
    here = pos
    for _ in range(n_iterations):
        now, stand = dihedrals(here, axes), pyramids(here, centres)
        turn = (share * wrapped(angle - now.angle).clamp(-STRIDE, STRIDE)).sum(dim=(-1, -2))
        rise = (height - stand.height) * centres.real
        rows = [mean_gradient(now, axes, share, n)]
        rows.append(height_gradient(stand, centres, n) * centres.real[..., None, None])
        gradient = torch.cat(rows, dim=1).flatten(2)  # B E+C 3N
        weighted = gradient * sure[..., None]
        push = torch.einsum("bek,be->bk", weighted, torch.cat([turn, rise], dim=1))
        springs, pull = _springs(here, wanted.length, wanted.stiffness)
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
