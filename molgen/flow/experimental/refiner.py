"""A learned refiner of the starting noise: from any noise to noise that samples better.

Golden noise (Zhou et al. 2024, arXiv 2411.09502): pairs of a noise and a better one come from
denoising and inverting back; a small network learns the map and costs one cheap call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molgen.flow.grid import TimeGrid
from molgen.flow.process import center
from molgen.flow.solvers.base import Denoiser, Evaluation, transfer
from molgen.flow.solvers.exponential import DDIM
from molgen.flow.state import Offsets, State


def inversion_refine(
    guided: Denoiser, plain: Denoiser, x: State, grid: TimeGrid, offsets: Offsets | None = None
) -> State:
    """A better start: one guided step of ``grid`` forwards, one plain step back.

    What guidance adds on the way forwards stays in the noise on the way back (two network calls).
    With the same denoiser both ways only the error of one step is left.

    Args:
        guided: Denoiser of the step towards data, such as a classifier-free guided one.
        plain: Denoiser of the step back.
        x: Noise at the grid's first level, unit total variance.
        grid: Sampling grid of at least two steps.
        offsets: Lead of each modality.

    Returns:
        Noise at the same level, shaped like ``x``.
    """
    leads = offsets or {}
    first, second = grid.lam[:2]
    ahead = DDIM().solve(guided, x, TimeGrid((first, second)), offsets=leads)
    x0 = plain(ahead, torch.tensor(second, dtype=torch.float64))
    return transfer(Evaluation(second, ahead, x0), x0, first, leads)


class NoiseRefiner(nn.Module):
    """Residual map of noise positions that keeps their law as far as it can be kept cheaply.

    E(3)-equivariant (vectors between atoms weighted by invariants), permutation equivariant,
    and it restores every molecule's norm, which for zero-centre noise is independent of the
    direction: radial statistics stay exactly those of the input noise.

    Args:
        hidden: Width of the network of pair weights.
        strength: Largest share of the residual, above 0.
    """

    def __init__(self, hidden: int = 32, strength: float = 0.3) -> None:
        super().__init__()
        self.strength = strength
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.weights = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), last)

    def forward(self, pos: Tensor, mask: Tensor) -> Tensor:
        """Refined noise.

        Args:
            pos: Noise with zero centre of mass, ``[B, N, 3]``.
            mask: Real atoms, bool, ``[B, N]``.

        Returns:
            Shape ``[B, N, 3]``; the same norm per molecule, padding zero.
        """
        between = pos[:, :, None] - pos[:, None, :]
        distance = (between.square().sum(-1) + 1e-8).sqrt()
        size = mask.sum(dim=1)[:, None, None].expand_as(distance) / 10.0
        weight = torch.tanh(self.weights(torch.stack([distance, size], dim=-1)))
        pair = (mask[:, :, None] & mask[:, None, :])[..., None]
        push = (weight * between / (1 + distance[..., None]) * pair).mean(dim=2)
        moved = center(pos + self.strength * push, mask)
        norm = pos.square().sum(dim=(1, 2), keepdim=True)
        return moved * (norm / moved.square().sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)).sqrt()


def refinement_loss(refiner: NoiseRefiner, pos: Tensor, better: Tensor, mask: Tensor) -> Tensor:
    """Mean squared distance of the refined noise to the better one, per real coordinate."""
    gap = (refiner(pos, mask) - better).square().sum(dim=(1, 2))
    return (gap / (3 * mask.sum(dim=1))).mean()
