"""Embeddings of scalars: noise level and interatomic distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoiseEmbedding(nn.Module):
    """Smooth features of a half log-SNR, by a fixed Fourier basis and a small MLP.

    The basis spans the range that training visits; levels outside it are clamped, so that
    a sampler's first call at (almost) zero SNR sees a level that the network has learnt.

    Args:
        dim: NetworkDims of the embedding.
        lam_min: Smallest half log-SNR of training.
        lam_max: Largest half log-SNR of training.
        n_frequencies: Number of sine and of cosine features.
    """

    def __init__(self, dim: int, lam_min: float, lam_max: float, n_frequencies: int = 16) -> None:
        super().__init__()
        self.lam_min, self.lam_max = lam_min, lam_max
        frequencies = math.pi * 0.5 * torch.arange(1, n_frequencies + 1, dtype=torch.float32)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor
        self.mlp = nn.Sequential(nn.Linear(2 * n_frequencies + 1, dim), nn.SiLU())

    def forward(self, lam: Tensor) -> Tensor:
        """Embed half log-SNR values ``[...]`` into ``[..., dim]``."""
        unit = (lam.clamp(self.lam_min, self.lam_max) - self.lam_min) / (
            self.lam_max - self.lam_min
        )
        phase = unit[..., None] * self.frequencies.to(unit.dtype)
        features = torch.cat([phase.sin(), phase.cos(), 2 * unit[..., None] - 1], dim=-1)
        return self.mlp(features)


class RadialBasis(nn.Module):
    """Gaussian basis of a distance, dense where bonds are and sparse beyond.

    Centres are uniform in ``exp(-d / decay)``, the spacing of PhysNet (Unke and Meuwly 2019,
    eq. 7), so that a bond length is resolved much more finely than a molecule's diameter.

    Args:
        n_basis: Number of functions.
        cutoff: Distance of the last centre, in the units of the input.
        decay: Length of the exponential map, in the units of the input.
    """

    def __init__(self, n_basis: int, cutoff: float, decay: float = 1.5) -> None:
        super().__init__()
        first = math.exp(-cutoff / decay)
        self.decay = decay
        self.inverse_width = (n_basis - 1) / (1.0 - first)
        self.register_buffer("centres", torch.linspace(first, 1.0, n_basis), persistent=False)
        self.centres: Tensor

    def forward(self, distance: Tensor) -> Tensor:
        """Expand distances ``[...]`` into ``[..., n_basis]``."""
        # A processor rounds the last numbers of an array in another way than those before.
        mapped = torch.exp(-distance.double() / self.decay)[..., None].to(distance.dtype)
        scaled = (mapped - self.centres.to(mapped.dtype)) * self.inverse_width
        return torch.exp(-0.5 * scaled * scaled)
