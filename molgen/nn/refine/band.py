"""Cholesky factors of sparse symmetric matrices of molecules, by blocks along a band.

Atoms are ordered by reverse Cuthill and McKee (1969), which leaves the matrix of a molecule a
narrow band. Cut into blocks as wide as the band, it is block tridiagonal, and elimination takes
time and memory linear in the number of blocks. A small molecule is one dense block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from molgen.nn.refine.graph import PackedGraph

DENSE = 12
"""Atoms per block at least: narrower blocks cost more calls than they spare arithmetic."""


@dataclass(frozen=True)
class Band:
    """Where the coordinates of atoms stand in ``M`` block-tridiagonal matrices.

    Attributes:
        slot: Places of the coordinates of every atom, ``[A, 3]``, of ``M * K * S``.
        n_molecules: ``M``.
        n_blocks: Blocks ``K`` on the diagonal, of the molecule with most.
        dims: Coordinates ``S`` per block.
    """

    slot: Tensor
    n_molecules: int
    n_blocks: int
    dims: int

    @classmethod
    def of(cls, graph: PackedGraph, linked: Tensor) -> Band:
        """A band for pairs of atoms, ``[L, 2]``, both ways, of a packed batch."""
        n, molecule = len(graph.element), graph.molecule.cpu().numpy()
        one, other = linked.cpu().numpy().T
        matrix = csr_array((np.ones(len(one), np.int8), (one, other)), shape=(n, n))
        found = reverse_cuthill_mckee(matrix, symmetric_mode=True)
        order = found[np.argsort(molecule[found], kind="stable")]
        size = graph.size.cpu().numpy()
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n) - (np.cumsum(size) - size)[molecule]
        largest = int(size.max())
        dims = min(max(int(np.abs(rank[one] - rank[other]).max()), DENSE), largest)
        n_blocks = -(-largest // dims)
        slot = 3 * (molecule * n_blocks * dims + rank)[:, None] + np.arange(3)
        return cls(torch.from_numpy(slot).to(linked.device), len(size), n_blocks, 3 * dims)

    def places(self, one: Tensor, other: Tensor) -> Tensor:
        """Where the 3 x 3 numbers of pairs of atoms stand, ``[Q, 9]``.

        A block column has ``2 S`` rows: the block on the diagonal and the one below it.

        Args:
            one: Atoms, ``[Q]``, that come later in the band than the others or are the same.
            other: The others, ``[Q]``.
        """
        row, column = self.slot[one][:, :, None], self.slot[other][:, None, :]
        block = column // self.dims
        return (
            block * 2 * self.dims**2 + (row - block * self.dims) * self.dims + column % self.dims
        ).flatten(1)

    def solve(self, place: Tensor, values: Tensor, right: Tensor) -> Tensor:
        """Solve positive definite systems.

        Args:
            place: As of `places`.
            values: What adds up there, ``[Q, 9]``.
            right: Right-hand sides, ``[A, 3]``.

        Returns:
            Solutions, ``[A, 3]``.
        """
        shape = self.n_molecules, self.n_blocks
        # Where there is no atom, the matrix is the unit matrix.
        unit = values.new_ones(self.n_molecules * self.n_blocks * self.dims)
        unit[self.slot] = 0
        flat = torch.diag_embed(unit.view(-1, self.dims))
        flat = torch.cat([flat, torch.zeros_like(flat)], dim=1).flatten()
        flat.index_add_(0, place.flatten(), values.flatten())
        diagonal, below = flat.view(*shape, 2, self.dims, self.dims).unbind(dim=2)
        sides = torch.zeros_like(unit)
        sides[self.slot] = right
        found = _solved(diagonal, below, sides.view(*shape, self.dims, 1))
        return found.flatten()[self.slot]


def _solved(diagonal: Tensor, below: Tensor, right: Tensor) -> Tensor:
    """Solutions ``[M, K, S, 1]`` for blocks ``[M, K, S, S]``; the last one below is not read."""
    factors: list[Tensor] = []
    sides: list[Tensor] = []
    done: list[Tensor] = []
    for k in range(diagonal.shape[1]):
        block, value = diagonal[:, k], right[:, k]
        if k:
            side = torch.linalg.solve_triangular(factors[-1], below[:, k - 1].mT, upper=False).mT
            block, value = block - side @ side.mT, value - side @ done[-1]
            sides.append(side)
        factors.append(torch.linalg.cholesky_ex(block).L)
        done.append(torch.linalg.solve_triangular(factors[-1], value, upper=False))
    result: list[Tensor] = []
    for k in reversed(range(diagonal.shape[1])):
        value = done[k] - sides[k].mT @ result[-1] if result else done[k]
        result.append(torch.linalg.solve_triangular(factors[k].mT, value, upper=True))
    return torch.stack(result[::-1], dim=1)
