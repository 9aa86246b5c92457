"""How far atoms with three neighbours stand out of the plane of these.

Distances along one bond and two say nothing of that where an atom is nearly flat: they change with
its square only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.refine.pair_layer import ATOM, PAIR
from molgen.nn.refine.pair_list import PairList
from molgen.nn.refine.spread import log_spread
from molgen.nn.refine.topology import Topology
from molgen.nn.refine.torsions import TORSION

SHORT = 1e-2
"""Length of a bond, in units of the network's coordinates, that is not divided by."""

POWERS = 3
"""Odd powers of a height that are seen."""


@dataclass(frozen=True)
class Impropers:
    """Heights of atoms over their three neighbours.

    Attributes:
        height: Volume that the unit vectors to the neighbours span, -1 to 1, 0 in a plane; it
            changes its sign in a mirror, ``[I]``.
        gradient: Derivatives by the atom and its neighbours, ``[I, 4, 3]``.
    """

    height: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, pos: Tensor, topology: Topology) -> Impropers:
        """Heights at ``pos``, ``[A, 3]``."""
        places = pos[topology.impropers]
        bond = places[:, 1:] - places[:, :1]
        length = bond.norm(dim=-1, keepdim=True).clamp_min(SHORT)
        unit = bond / length
        opposite = torch.linalg.cross(unit.roll(-1, dims=1), unit.roll(1, dims=1))
        parts = (unit * opposite).sum(dim=-1, keepdim=True)
        along = (opposite - parts * unit) / length
        return cls(parts[:, 0, 0], torch.cat([-along.sum(dim=1, keepdim=True), along], dim=1))


class ImproperHead(nn.Module):
    """From features of atoms and pairs to how much farther atoms should stand out.

    That changes its sign in a mirror, as heights do: it is a sum of odd powers of the height,
    times what depends on distances only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.of_centre = nn.Linear(ATOM + 1, TORSION)
        self.of_end = nn.Linear(ATOM, TORSION, bias=False)
        self.of_bond = nn.Linear(PAIR, TORSION, bias=False)
        self.of_angle = nn.Linear(PAIR, TORSION)
        self.bond = nn.Linear(TORSION, TORSION)
        self.out = nn.Linear(TORSION, POWERS + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, atoms: Tensor, pairs: Tensor, listed: PairList, topology: Topology, found: Impropers
    ) -> tuple[Tensor, Tensor]:
        """Changes of height and the logarithms of their standard deviations, ``[I]`` each."""
        atoms = self.norm_atom(atoms)
        centre, around = topology.impropers[:, 0], topology.impropers[:, 1:]
        ends = self.of_end(atoms)[around] + self.of_bond(self.norm_pair(pairs[listed.spokes]))
        sides = self.of_angle(self.norm_pair(pairs[listed.sides]))
        heard = functional.silu(ends).sum(dim=1) + functional.silu(sides).sum(dim=1)
        size = found.height.square()
        middle = torch.cat([atoms[centre], size[:, None]], dim=-1)
        hidden = functional.silu(self.of_centre(middle) + heard)
        said = self.out(functional.silu(self.bond(hidden)))
        odd = torch.stack([found.height * size**power for power in range(POWERS)], dim=-1)
        return (odd * said[:, :POWERS]).sum(dim=-1), log_spread(said[:, POWERS])
