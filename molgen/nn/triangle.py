"""Pairs of atoms, each once: what is the same from either end is computed for one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Triangle:
    """The pairs of ``N`` atoms, of which there are two at least where places are asked for.

    Attributes:
        first: The atom of smaller number, ``[P]``.
        last: The other, ``[P]``.
        place: Where a pair stands among them, by both atoms, ``[N * N]``; an atom with itself
            stands behind the last pair.
    """

    first: Tensor
    last: Tensor
    place: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> Triangle:
        """The pairs of ``n`` atoms."""
        first, last = torch.triu_indices(n, n, 1, device=device)
        n_pairs = n * (n - 1) // 2
        row, column = torch.arange(n, device=device)[:, None], torch.arange(n, device=device)
        low, high = torch.minimum(row, column), torch.maximum(row, column)
        place = low * n - low * (low + 1) // 2 + high - low - 1
        return cls(first, last, torch.where(row == column, n_pairs, place).flatten())

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """Where pairs stand, by the numbers of both atoms; any pair for an atom with itself."""
        n = round(len(self.place) ** 0.5)
        place = self.place[one * n + other]
        return place.clamp_max(len(self.first) - 1)

    def packed(self, square: Tensor) -> Tensor:
        """Pairs ``[B, P, ...]`` of a symmetric ``[B, N, N, ...]``."""
        return square[:, self.first, self.last]

    def square(self, packed: Tensor) -> Tensor:
        """A symmetric ``[B, N, N, C]`` of pairs ``[B, P, C]``, zero where both atoms are one."""
        n = round(len(self.place) ** 0.5)
        padded = torch.nn.functional.pad(packed, (0, 0, 0, 1))
        return padded.index_select(1, self.place).unflatten(1, (n, n))

    def added(self, ends: Tensor) -> Tensor:
        """Sums of what both atoms of every pair say: ``[B, N, C]`` to ``[B, P, C]``."""
        return ends.index_select(1, self.first) + ends.index_select(1, self.last)

    def incidence(self, weight: Tensor) -> Tensor:
        """Matrices ``[B, N, P]`` that sum the pairs of every atom with weights ``[B, P]``."""
        n = round(len(self.place) ** 0.5)
        atoms = torch.arange(n, device=weight.device)[:, None]
        return ((atoms == self.first) | (atoms == self.last)) * weight[:, None]
