"""Couplings: which noise goes with which data during training.

Straighter paths from noise to data need fewer sampling steps. Positions live modulo
permutation, rotation and reflection, so noise may be relabelled and turned per molecule
before it is mixed with the data (Song et al. 2023, arXiv 2312.07168; Klein et al. 2023,
arXiv 2306.15030).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molgen.flow.state import expand_like


@dataclass(frozen=True)
class Pairing:
    """Noise as it is paired with the data.

    Attributes:
        pos: Noise positions, shape ``[B, N, 3]``.
        permutation: Row of the given noise that stands at each row of ``pos``, int64, shape
            ``[B, N]``; padding rows keep their place. Other modalities' noise follows with
            ``noise.take_along_dim(permutation[..., None], dim=1)``.
    """

    pos: Tensor
    permutation: Tensor


class Coupling(Protocol):
    """Chooses the noise for given data."""

    def pair(self, x0: Tensor, eps: Tensor, mask: Tensor) -> Pairing:
        """Pair noise with data.

        Args:
            x0: Clean positions, centred, shape ``[B, N, 3]``.
            eps: Noise positions, centred, shape ``[B, N, 3]``.
            mask: Real atoms, bool, shape ``[B, N]``; they come first in each molecule.

        Returns:
            The noise to use, on the device of ``eps``.
        """


@dataclass(frozen=True)
class Independent:
    """Noise is used as it is drawn."""

    def pair(self, x0: Tensor, eps: Tensor, mask: Tensor) -> Pairing:  # noqa: ARG002
        """The given noise and the identity."""
        return Pairing(eps, _identity(mask))


@dataclass(frozen=True)
class AtomOT:
    """Per-molecule optimal transport of the noise onto the data.

    Alternates the optimal assignment of noise to atoms with the optimal orthogonal map,
    reflections included. Each stage lowers the squared distance or leaves it; all keep the
    norm and the centre of mass of the noise.

    Attributes:
        permute: Whether noise may be relabelled among the atoms of a molecule.
        rotate: Whether noise may be turned and reflected.
    """

    permute: bool = True
    rotate: bool = True

    def pair(self, x0: Tensor, eps: Tensor, mask: Tensor) -> Pairing:
        """Pair noise with data; runs on the CPU, about 0.03 ms per molecule of 18 atoms."""
        data, noise = x0.detach().cpu(), eps.detach().cpu()
        sizes = mask.sum(dim=1).tolist()
        permutation = _identity(mask.cpu())
        if self.permute:
            permutation = _assign(data, noise, sizes)
        if self.rotate:
            real = expand_like(mask.cpu(), noise)
            noise = noise @ _procrustes(data, _rows(noise, permutation) * real)
            if self.permute:
                permutation = _assign(data, noise, sizes)
        return Pairing(_rows(noise, permutation).to(eps.device), permutation.to(eps.device))


def _identity(mask: Tensor) -> Tensor:
    """The permutation that leaves each row in place, shape ``[B, N]``."""
    return torch.arange(mask.shape[1], device=mask.device).expand(mask.shape).clone()


def _rows(x: Tensor, permutation: Tensor) -> Tensor:
    """Rows of each molecule in the order of ``permutation``."""
    return x.take_along_dim(permutation[..., None], dim=1)


def _assign(x0: Tensor, eps: Tensor, sizes: list[int]) -> Tensor:
    """Optimal assignment of noise rows to data rows of each molecule (Hungarian method)."""
    # Squared norms add a constant to every assignment, so the inner products decide.
    gain = torch.bmm(x0, eps.transpose(1, 2)).double().numpy()
    permutation = torch.arange(x0.shape[1]).repeat(len(sizes), 1)
    rows = permutation.numpy()
    for index, size in enumerate(sizes):
        rows[index, :size] = linear_sum_assignment(gain[index, :size, :size], maximize=True)[1]
    return permutation


def _procrustes(x0: Tensor, eps: Tensor) -> Tensor:
    """Orthogonal maps R, shape ``[B, 3, 3]``, that bring ``eps @ R`` closest to ``x0``."""
    u, _, vh = torch.linalg.svd(torch.bmm(eps.transpose(1, 2), x0))
    return torch.bmm(u, vh)
