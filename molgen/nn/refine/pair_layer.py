"""Layers that pass messages between listed pairs and atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.refine.pair_list import PairList

PAIR = 48
"""Features of a pair of atoms."""

ATOM = 64
"""Features of an atom."""

PATHS = 16
"""Products along paths of a bond and a pair."""

HIDDEN = 64
"""Hidden dims of the update of a pair."""

RADIAL = 24
"""Radial functions per distance."""


@dataclass(frozen=True)
class PairFeatures:
    """What every layer sees.

    Attributes:
        listed: The pairs.
        radial: Radial functions of their distances, ``[P, R]``.
        weight: Weights of the pairs, ``[P, 1]``.
        scale: Factors of the sums over the pairs of every atom, ``[A, 1]``.
    """

    listed: PairList
    radial: Tensor
    weight: Tensor
    scale: Tensor

    @classmethod
    def of(cls, listed: PairList, radial: Tensor, n_atoms: int) -> PairFeatures:
        """See pairs by their radial functions."""
        weight = listed.weight.to(radial.dtype)
        total = weight.new_ones(n_atoms)
        total = total.index_add_(0, listed.first, weight).index_add_(0, listed.last, weight)
        # Sums of all others grow with their number, means would fade.
        return cls(listed, radial, weight[:, None], total.rsqrt()[:, None])


class PairLayer(nn.Module):
    """Updates pairs by their distance and by paths, atoms by their bonds and by all pairs.

    A path is a bond at one end of a pair and the pair from there to the other end: the triangle
    update of Jumper et al. (2021, AlphaFold, supplementary algorithm 11) along bonds only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.path_sides = nn.Linear(PAIR, 2 * PATHS)
        self.pair_in = nn.Linear(PAIR + PATHS + RADIAL, HIDDEN)
        self.atom_to_pair = nn.Linear(ATOM, HIDDEN, bias=False)
        self.pair_out = nn.Linear(HIDDEN, PAIR)
        self.bonded_to_atom = nn.Linear(HIDDEN, ATOM)
        self.nearby_to_atom = nn.Linear(HIDDEN, ATOM)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.atom_in = nn.Linear(3 * ATOM, 2 * ATOM)
        self.atom_out = nn.Linear(2 * ATOM, ATOM)
        nn.init.normal_(self.pair_out.weight, std=0.02)

    def forward(self, atoms: Tensor, pairs: Tensor, seen: PairFeatures) -> tuple[Tensor, Tensor]:
        """New atoms ``[A, ATOM]`` and pairs ``[P, PAIR]``."""
        listed = seen.listed
        normed, here = self.norm_pair(pairs), self.norm_atom(atoms)
        bond, rest = self.path_sides(normed).chunk(2, dim=-1)
        pair, side, other = listed.paths
        along = bond.index_select(0, side) * (rest * seen.weight).index_select(0, other)
        paths = rest.new_zeros(rest.shape).index_add_(0, pair, along)
        ends = self.atom_to_pair(here)
        told = self.pair_in(torch.cat([normed, paths, seen.radial], dim=-1))
        told += ends.index_select(0, listed.first)
        told += ends.index_select(0, listed.last)
        hidden = functional.silu(told)
        nearby = seen.scale * summed(seen.weight * hidden, listed.first, listed.last, len(atoms))
        bonds = listed.bonds
        bonded = hidden.index_select(0, bonds)
        bonded = summed(bonded, listed.first[bonds], listed.last[bonds], len(atoms))
        heard = torch.cat([self.bonded_to_atom(bonded), self.nearby_to_atom(nearby), here], dim=-1)
        atoms = atoms + self.atom_out(functional.silu(self.atom_in(heard)))
        return atoms, pairs + self.pair_out(hidden)


def summed(pairs: Tensor, first: Tensor, last: Tensor, n: int) -> Tensor:
    """Sums over the pairs of every atom, ``[n, ...]``."""
    total = pairs.new_zeros(n, pairs.shape[1])
    return total.index_add_(0, first, pairs).index_add_(0, last, pairs)
