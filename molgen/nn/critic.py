"""Tells real molecules from made ones by what a denoiser's blocks see in their noised states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molgen.nn.block import NetworkDims
from molgen.nn.embed import NoiseEmbedding
from molgen.nn.network import Streams


class Critic(nn.Module):
    """A score of every molecule, from invariant features of its atoms and pairs.

    A denoiser that was trained at all levels has learnt what molecules look like under noise; two
    small networks on its features are enough to judge them (Sauer et al. 2024, arXiv 2403.12015,
    do so with images). Features are added up over atoms and over pairs, so that the score can
    count: rings, say. An untrained critic gives every molecule zero.

    Args:
        dims: Sizes of the denoiser's streams.
        lam_min: Smallest half log-SNR that it judges.
        lam_max: Largest half log-SNR.
        hidden: NetworkDims of the critic's own layers.
    """

    def __init__(self, dims: NetworkDims, lam_min: float, lam_max: float, hidden: int = 96) -> None:
        super().__init__()
        self.of_atom = _features(dims.scalar, hidden)
        self.of_pair = _features(dims.pair, hidden)
        self.level = nn.Sequential(
            NoiseEmbedding(hidden, lam_min, lam_max), nn.Linear(hidden, 4 * hidden)
        )
        self.score = nn.Linear(2 * hidden, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, streams: Streams, lam: Tensor, mask: Tensor) -> Tensor:
        """Scores, ``[B]``: the larger, the more real.

        Args:
            streams: What the denoiser's blocks leave for its heads.
            lam: Half log-SNR of the states, ``[B]``.
            mask: Real atoms, ``[B, N]`` bool.
        """
        atoms = mask[..., None]
        pairs = atoms[:, :, None] & atoms[:, None, :]
        n_atoms = mask.sum(dim=1, keepdim=True).to(streams.scalars.dtype)
        both = streams.pairs + streams.pairs.transpose(1, 2)
        # Divided so that sums over atoms and over pairs vary alike, whatever the size.
        of_atoms = (self.of_atom(streams.scalars) * atoms).sum(dim=1) / n_atoms.sqrt()
        of_pairs = (self.of_pair(both) * pairs).sum(dim=(1, 2)) / n_atoms
        features = torch.cat([of_atoms, of_pairs], dim=-1) / 3
        gain, shift = self.level(lam).chunk(2, dim=-1)
        return self.score(nn.functional.silu(features * (1 + gain) + shift)).squeeze(-1)


def _features(dims: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dims),
        nn.Linear(dims, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
    )
