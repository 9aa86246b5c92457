"""The E(n)-equivariant graph network of equivariant diffusion, over all pairs of a molecule.

Satorras et al. 2021 (arXiv 2102.09844) in the form of Hoogeboom et al. 2022 (arXiv 2203.17003,
appendix B): messages with an attention gate, residual updates, coordinates moved along
normalised differences.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALLEST_SQUARE = 1e-8  # keeps the slope of a distance finite where two atoms coincide
_FIRST_STEP = 1e-3  # gain of the weights that move atoms: a fresh network leaves them in place


class PairLayers(nn.Module):
    """Two layers over ``[h_i, h_j, d_ij^2, D_ij^2]``: present and first squared distance.

    The first layer is linear in what it reads, so the share of the atoms is computed per atom and
    added per pair: the same function for half of the work. Distances are read in full precision
    even where the rest is not: eight bits of a squared distance are 0.003 Å of a bond's length.

    Args:
        hidden: NetworkDims of atoms and of pairs.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.of_atoms = nn.Linear(hidden, 2 * hidden, bias=False)
        self.of_distances = nn.Linear(2, hidden)
        self.second = nn.Linear(hidden, hidden)
        bound = (2 * hidden + 2) ** -0.5  # of one layer over all that is read, torch's default
        for weight in (*self.of_atoms.parameters(), *self.of_distances.parameters()):
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, scalars: Tensor, distances: Tensor) -> Tensor:
        """Features of pairs, ``[B, N, N, H]``.

        Args:
            scalars: Invariant features of atoms, ``[B, N, H]``.
            distances: Both squared distances, ``[B, N, N, 2]``.
        """
        left, right = self.of_atoms(scalars).chunk(2, dim=-1)
        with torch.autocast(distances.device.type, enabled=False):
            first = self.of_distances(distances)
        first = first + left[:, :, None] + right[:, None]
        return functional.silu(self.second(functional.silu(first)))


class EquivariantBlock(nn.Module):
    """Messages between all atoms, then a move of every atom away from or towards the others.

    Args:
        hidden: NetworkDims.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.message = PairLayers(hidden)
        self.gate = nn.Linear(hidden, 1)
        self.update = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )
        self.push = PairLayers(hidden)
        self.force = nn.Linear(hidden, 1, bias=False)
        nn.init.xavier_uniform_(self.force.weight, gain=_FIRST_STEP)

    def forward(
        self, scalars: Tensor, pos: Tensor, first: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update atoms ``[B, N, H]`` and coordinates ``[B, N, 3]``.

        Args:
            scalars: Invariant features of atoms.
            pos: Coordinates.
            first: Squared distances of the network's input, ``[B, N, N, 1]``.
            pairs: One for two different real atoms, else zero, ``[B, N, N, 1]``.
        """
        difference, squared = differences(pos)
        distances = torch.cat([squared, first], dim=-1)
        message = self.message(scalars, distances)
        message = message * self.gate(message).sigmoid() * pairs
        scalars = scalars + self.update(torch.cat([scalars, message.sum(dim=2)], dim=-1))
        force = self.force(self.push(scalars, distances)) * pairs
        length = (squared + _SMALLEST_SQUARE).sqrt()
        return scalars, pos + (difference / (length + 1) * force).sum(dim=2)


def differences(pos: Tensor) -> tuple[Tensor, Tensor]:
    """Differences ``x_i - x_j``, ``[B, N, N, 3]``, and their squared lengths, ``[B, N, N, 1]``."""
    difference = pos[:, :, None] - pos[:, None]
    return difference, difference.square().sum(dim=-1, keepdim=True)


class EGNN(nn.Module):
    """Features and coordinates in, new features and the displacement of every atom out.

    Args:
        n_in: Features per atom that are read.
        n_out: Features per atom that are written.
        hidden: NetworkDims; 256 in the paper.
        n_layers: Number of blocks; 9 in the paper.
    """

    def __init__(self, n_in: int, n_out: int, hidden: int, n_layers: int) -> None:
        super().__init__()
        self.read = nn.Linear(n_in, hidden)
        self.blocks = nn.ModuleList(EquivariantBlock(hidden) for _ in range(n_layers))
        self.write = nn.Linear(hidden, n_out)

    def forward(self, pos: Tensor, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements ``[B, N, 3]`` and features ``[B, N, n_out]``; zero on padding.

        Args:
            pos: Coordinates, ``[B, N, 3]``; where they are as a whole has no effect.
            features: Invariant features, ``[B, N, n_in]``.
            mask: Real atoms, ``[B, N]`` bool.
        """
        real = mask[..., None].to(pos.dtype)
        distinct = ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        pairs = (mask[:, :, None] & mask[:, None] & distinct)[..., None].to(pos.dtype)
        first = differences(pos)[1]
        scalars, moved = self.read(features), pos
        for block in self.blocks:
            scalars, moved = block(scalars, moved, first, pairs)
        return (moved - pos) * real, self.write(scalars) * real
