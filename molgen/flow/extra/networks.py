"""Small networks: a refiner of the starting noise, and channels routed by the noise level."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.process import center
from molgen.flow.solvers.base import Denoiser, Evaluation, transfer
from molgen.flow.solvers.exponential import DDIM
from molgen.flow.state import Offsets, State


def inversion_refine(
    guided: Denoiser, plain: Denoiser, x: State, grid: TimeGrid, offsets: Offsets | None = None
) -> State:
    """A better start: one guided step of ``grid`` forwards, one plain step back.

    Golden noise (Zhou et al. 2024, arXiv 2411.09502): what guidance adds on the way forwards stays
    in the noise on the way back. With one denoiser both ways only the error of a step is left.
    ``x`` is noise at the grid's first level, unit total variance; so is the result.
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
        hidden: NetworkDims of the network of pair weights.
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
        """Refined noise ``[B, N, 3]`` of centred noise ``pos``; real atoms in ``mask``, bool."""
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


class TaskRouting(nn.Module):
    """Multiplies a layer's channels by a 0/1 window that slides with the noise level.

    Denoising task routing (Park et al. 2024, arXiv 2310.07138): neighbouring levels share most of
    their channels, and no parameter is added. ``open_share`` in (0, 1] of the channels is open at
    a level (the paper's beta); a larger ``bend`` (alpha) gives low noise levels more windows of
    their own.
    """

    def __init__(self, n_channels: int, open_share: float = 0.8, bend: float = 1.0) -> None:
        super().__init__()
        if not 0 < open_share <= 1 or bend <= 0:
            raise UsageError(
                f"routing with open_share={open_share:g}, bend={bend:g}",
                "Use 0 < open_share <= 1 and bend > 0",
            )
        self.n_channels, self.bend = n_channels, bend
        self.n_open = math.ceil(open_share * n_channels)

    def window(self, t: Tensor) -> Tensor:
        """Open channels at times ``t`` in [0, 1], shape ``[B]``; bool, ``[B, n_channels]``."""
        first = torch.round((self.n_channels - self.n_open) * t.clamp(0, 1) ** self.bend)
        channel = torch.arange(self.n_channels, device=t.device)
        return (channel >= first[:, None]) & (channel < first[:, None] + self.n_open)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Close the channels of features ``[B, ..., n_channels]`` that are not of times ``[B]``."""
        window = self.window(t).to(x.dtype)
        return x * window.reshape(len(x), *(1,) * (x.dim() - 2), self.n_channels)
