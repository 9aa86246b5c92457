"""What a network believes of the distances between atoms, and what positions say of its graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.block import NetworkDims, pair_distances
from molgen.nn.classes import Classes
from molgen.nn.distances import Distances
from molgen.nn.embed import RadialBasis
from molgen.nn.probability import probability

HIDDEN = 128
"""NetworkDims of the head."""

EVIDENCE = 10.0
"""Logits per unit of the head's output: a distance can rule a bond out, which at the learning rate
of heads would take long to say."""


class DistanceHead(nn.Module):
    """Distances from the streams of a network and from the positions that it estimates.

    Atoms and bonds were named before there were positions to look at, so the head also says what
    these add to the logits.

    Args:
        dims: Sizes of the streams.
        n_radial: Radial functions per distance.
        cutoff: Largest distance resolved, in units of the network's coordinates.
        n_classes: Numbers of elements, formal charges and bond classes.
    """

    def __init__(
        self, dims: NetworkDims, n_radial: int, cutoff: float, n_classes: tuple[int, int, int]
    ) -> None:
        super().__init__()
        n_elements, n_charges, n_bonds = n_classes
        self.n_elements = n_elements
        self.radial = RadialBasis(n_radial, cutoff)
        self.norm_pair = nn.LayerNorm(dims.pair)
        self.norm_atom = nn.LayerNorm(dims.scalar)
        self.of_pair = nn.Linear(dims.pair + n_radial + n_bonds, HIDDEN)
        self.of_atom = nn.Linear(dims.scalar, HIDDEN, bias=False)
        self.middle = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2)
        self.own = nn.Linear(dims.scalar, 1)
        self.bond = nn.Linear(HIDDEN, n_bonds)
        self.atom = nn.Linear(HIDDEN + dims.scalar, n_elements + n_charges)
        for last in (self.out, self.own, self.bond, self.atom):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, scalars: Tensor, pairs: Tensor, bond: Tensor, pos: Tensor, mask: Tensor
    ) -> tuple[Distances, Classes]:
        """Beliefs about the distances in the clean molecule, and logits to add to the heads'.

        Args:
            scalars: Last features of atoms, ``[B, N, D]``.
            pairs: Last features of pairs, ``[B, N, N, P]``.
            bond: Bond logits, ``[B, N, N, O]``; no gradient flows into them.
            pos: Estimated clean positions, ``[B, N, 3]``.
            mask: Real atoms, ``[B, N]`` bool.
        """
        found = pair_distances(pos[..., None]).squeeze(-1)
        pairs = self.norm_pair(pairs)
        bonds = probability(bond.detach())
        radial = self.radial(found.detach())
        seen = torch.cat([pairs + pairs.transpose(1, 2), radial, bonds], dim=-1)
        scalars = self.norm_atom(scalars)
        atoms = self.of_atom(scalars)
        hidden = functional.silu(self.of_pair(seen) + atoms[:, :, None] + atoms[:, None, :])
        hidden = hidden + functional.silu(self.middle(hidden))
        distances = Distances.near(found, self.out(hidden), self.own(scalars).squeeze(-1))
        return distances, self._evidence(scalars, hidden, mask, pos.dtype)

    def _evidence(
        self, scalars: Tensor, hidden: Tensor, mask: Tensor, dtype: torch.dtype
    ) -> Classes:
        """What the features of pairs say of bonds, and their mean over an atom's pairs of atoms."""
        bond = self.bond(hidden).to(dtype)
        share = mask.to(hidden.dtype) / mask.sum(dim=1, keepdim=True).to(hidden.dtype)
        around = (share[:, None, None] @ hidden).squeeze(2)
        atom = EVIDENCE * self.atom(torch.cat([around, scalars], dim=-1)).to(dtype)
        return Classes(
            element=atom[..., : self.n_elements],
            charge=atom[..., self.n_elements :],
            bond=EVIDENCE * (bond + bond.transpose(1, 2)),
        )
