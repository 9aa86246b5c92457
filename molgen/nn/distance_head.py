"""What a network believes of the distances between atoms, and positions that follow from it.

One pass moves every atom on its own account, so errors of bonds add up along rings and chains. A
distance is easier said than a position: it depends on few atoms around. The head says every
distance with its spread, and stress majorisation finds the positions most probable under them all,
with the network's own positions as a prior. It is part of the call, not a call of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.block import Width, pair_distances
from molgen.nn.classes import Classes
from molgen.nn.embed import RadialBasis
from molgen.nn.majorize import majorized
from molgen.nn.probability import probability

HIDDEN = 128
"""Width of the head."""

SPREADS = (0.006, 0.5)
"""Least and largest standard deviation of a distance, in units of the network's coordinates.

Their ratio bounds the condition of the linear system, which is solved in single precision.
"""

FIRST_SPREAD = 0.05
"""Spread of a distance before there was any training."""

OWN_SPREADS = (0.01, 0.5)
"""Least and largest standard deviation of a position."""

FIRST_OWN_SPREAD = 0.1

STEP = 0.3
"""Units of coordinates per unit of the head's output: a correction is a fraction of a bond."""

EVIDENCE = 10.0
"""Logits per unit of the head's output: a distance can rule a bond out, which at the learning rate
of heads would take long to say."""


@dataclass(frozen=True)
class Distances:
    """Beliefs about distances, in units of the network's coordinates.

    Attributes:
        mean: Expected distances, symmetric, ``[B, N, N]``.
        log_spread: Logarithms of their standard deviations, symmetric, ``[B, N, N]``.
        log_own: Logarithms of the standard deviations of the network's positions, ``[B, N]``.
        evidence: What the positions say of atoms and bonds, to be added to what the heads said.
    """

    mean: Tensor
    log_spread: Tensor
    log_own: Tensor
    evidence: Classes

    def fitted(self, pos: Tensor, mask: Tensor, n_iterations: int) -> Tensor:
        """Positions near ``pos``, ``[B, N, 3]``, with these distances."""
        with torch.autocast(pos.device.type, enabled=False):
            weight, anchor = (-2 * self.log_spread).exp(), (-2 * self.log_own).exp()
            return majorized(pos, self.mean, weight, anchor, mask, n_iterations)


class DistanceHead(nn.Module):
    """Distances from the streams of a network and from the positions that it estimates.

    Atoms and bonds were named before there were positions to look at, so the head also says what
    these add to the logits.

    Args:
        width: Sizes of the streams.
        n_radial: Radial functions per distance.
        cutoff: Largest distance resolved, in units of the network's coordinates.
        n_classes: Numbers of elements, formal charges and bond classes.
    """

    def __init__(
        self, width: Width, n_radial: int, cutoff: float, n_classes: tuple[int, int, int]
    ) -> None:
        super().__init__()
        n_elements, n_charges, n_bonds = n_classes
        self.n_elements = n_elements
        self.radial = RadialBasis(n_radial, cutoff)
        self.norm_pair = nn.LayerNorm(width.pair)
        self.norm_atom = nn.LayerNorm(width.scalar)
        self.of_pair = nn.Linear(width.pair + n_radial + n_bonds, HIDDEN)
        self.of_atom = nn.Linear(width.scalar, HIDDEN, bias=False)
        self.middle = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2)
        self.own = nn.Linear(width.scalar, 1)
        self.bond = nn.Linear(HIDDEN, n_bonds)
        self.atom = nn.Linear(HIDDEN + width.scalar, n_elements + n_charges)
        for last in (self.out, self.own, self.bond, self.atom):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, scalars: Tensor, pairs: Tensor, bond: Tensor, pos: Tensor, mask: Tensor
    ) -> Distances:
        """Beliefs about the distances in the clean molecule.

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
        said = self.out(hidden).to(pos.dtype)
        # Under autocast, sums of the same numbers in another order are not the same.
        shift, spread = ((said + said.transpose(1, 2)) / 2).unbind(dim=-1)
        own = self.own(scalars).squeeze(-1).to(pos.dtype)
        return Distances(
            mean=(found + STEP * shift).clamp_min(STEP),
            log_spread=_within(math.log(FIRST_SPREAD) + spread, SPREADS),
            log_own=_within(math.log(FIRST_OWN_SPREAD) + own, OWN_SPREADS),
            evidence=self._evidence(scalars, hidden, mask, pos.dtype),
        )

    def _evidence(
        self, scalars: Tensor, hidden: Tensor, mask: Tensor, dtype: torch.dtype
    ) -> Classes:
        """What the features of pairs say of bonds, and their mean over an atom's pairs of atoms."""
        bond = self.bond(hidden).to(dtype)
        share = mask.to(hidden.dtype) / mask.sum(dim=1, keepdim=True).to(hidden.dtype)
        around = torch.einsum("bijh,bj->bih", hidden, share)
        atom = EVIDENCE * self.atom(torch.cat([around, scalars], dim=-1)).to(dtype)
        return Classes(
            element=atom[..., : self.n_elements],
            charge=atom[..., self.n_elements :],
            bond=EVIDENCE * (bond + bond.transpose(1, 2)),
        )


def _within(log: Tensor, bounds: tuple[float, float]) -> Tensor:
    least, largest = bounds
    return log.clamp(math.log(least), math.log(largest))
