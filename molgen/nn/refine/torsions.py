"""Torsion angles of index lists, and the network that says how far bonds should turn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.refine.pair_layer import ATOM, PAIR
from molgen.nn.refine.pair_list import PairList, faded
from molgen.nn.refine.spread import log_spread
from molgen.nn.refine.topology import Topology

BENT = (0.2, 0.4)
"""Sines of a bond angle: below the first its torsions mean nothing, above the second all."""

TINY = 1e-4
"""Squared areas, in units of the network's coordinates, that are not divided by."""

TORSION = 64
"""Features of a torsion."""

WAVES = 3
"""Multiples of a torsion angle whose sines and cosines are seen."""

TURNS = 16
"""Turns proposed by every torsion, of which the bond chooses."""

STEP = 0.3
"""Radians per unit of the last layer's output."""


@dataclass(frozen=True)
class Torsions:
    """Torsions of positions.

    Angles and derivatives by Blondel and Karplus (1996, J. Comput. Chem. 17, 1132), which have no
    singularity where an angle is zero.

    Attributes:
        angle: Radians, ``[T]``.
        weight: From 0 where a bond angle is straight to 1, ``[T]``; continuous.
        gradient: Derivatives by the four atoms, ``[T, 4, 3]``.
    """

    angle: Tensor
    weight: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, pos: Tensor, topology: Topology) -> Torsions:
        """Torsions at ``pos``, ``[A, 3]``."""
        start, first, last, stop = (pos.index_select(0, x) for x in topology.torsions.T)
        axis = first - last
        length = axis.norm(dim=-1, keepdim=True).clamp_min(TINY**0.5)
        arms = torch.stack([start - first, stop - last], dim=1)  # T 2 3
        normal = torch.linalg.cross(arms, axis[:, None].expand_as(arms))
        area = normal.square().sum(dim=-1, keepdim=True)
        one, other = normal.unbind(dim=1)
        cosine = (one * other).sum(dim=-1)
        sine = (torch.linalg.cross(other, one) * axis).sum(dim=-1) / length[:, 0]
        size = arms.square().sum(dim=-1, keepdim=True).clamp_min(TINY)
        bent = faded((area / (length[:, None].square() * size)).sqrt(), *BENT)
        ends = -length[:, None] * normal / area.clamp_min(TINY) * ends_sign(normal)
        tilt = (arms * axis[:, None]).sum(dim=-1, keepdim=True) / length[:, None].square()
        tilted = (tilt * ends).sum(dim=1)
        gradient = [ends[:, 0], -ends[:, 0] - tilted, tilted - ends[:, 1], ends[:, 1]]
        # Both are zero only where a bond angle is straight, and the weight is too.
        straight = (sine == 0) & (cosine == 0)
        angle = torch.atan2(sine, torch.where(straight, 1.0, cosine))
        return cls(angle, bent.prod(dim=1).squeeze(-1), torch.stack(gradient, dim=1))


def ends_sign(like: Tensor) -> Tensor:
    """Signs of the derivatives by the first and the last atom."""
    return like.new_tensor([[1.0], [-1.0]])


def wrapped(angle: Tensor) -> Tensor:
    """The same angle between -π and π."""
    return torch.atan2(angle.sin(), angle.cos())


def by_axis(values: Tensor, topology: Topology) -> Tensor:
    """Sums over the torsions of every axis: ``[T, ...]`` to ``[X, ...]``."""
    total = values.new_zeros(len(topology.axes), *values.shape[1:])
    return total.index_add(0, topology.axis, values)


class TorsionHead(nn.Module):
    """From features of atoms and pairs to the turns of bonds.

    A turn changes its sign in a mirror: it is a sum of sines of the torsions around the bond,
    times what depends on distances only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm_pair = nn.LayerNorm(PAIR)
        self.norm_atom = nn.LayerNorm(ATOM)
        self.of_bond = nn.Linear(PAIR, TORSION)
        self.of_ends = nn.Linear(PAIR + WAVES, TORSION)
        self.of_angle = nn.Linear(PAIR, TORSION, bias=False)
        self.of_end = nn.Linear(ATOM, TORSION, bias=False)
        self.of_middle = nn.Linear(ATOM, TORSION, bias=False)
        self.middle = nn.Linear(TORSION, TORSION)
        self.odd = nn.Linear(TORSION, WAVES * TURNS)
        self.even = nn.Linear(TORSION, TORSION)
        self.bond = nn.Linear(TORSION, TORSION)
        self.out = nn.Linear(TORSION, TURNS + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, atoms: Tensor, pairs: Tensor, listed: PairList, topology: Topology, found: Torsions
    ) -> tuple[Tensor, Tensor]:
        """Turns and the logarithms of their standard deviations, radians, ``[X]`` each."""
        atoms = self.norm_atom(atoms)
        start, _, _, stop = topology.torsions.T
        begin, end = topology.axes.T
        of_end, of_middle = self.of_end(atoms), self.of_middle(atoms)
        of_bond = self.of_bond(self.norm_pair(pairs.index_select(0, listed.axes)))
        of_bond = of_bond + of_middle[begin] + of_middle[end]
        angles = self.norm_pair(pairs.index_select(0, listed.one_three.flatten()))
        angles = self.of_angle(angles.unflatten(0, (2, -1)).sum(dim=0))
        waves = found.angle[:, None] * torch.arange(1, WAVES + 1, device=atoms.device)
        ends = self.norm_pair(pairs.index_select(0, listed.one_four))
        ends = self.of_ends(torch.cat([ends, waves.cos()], dim=-1))
        both = of_end.index_select(0, start) + of_end.index_select(0, stop)
        hidden = ends + angles + both + of_bond.index_select(0, topology.axis)
        hidden = functional.silu(hidden)
        hidden = hidden + functional.silu(self.middle(hidden))
        weight = found.weight[:, None]
        odd = self.odd(hidden).unflatten(-1, (WAVES, TURNS)) * (waves.sin() * weight)[..., None]
        even = self.even(by_axis(hidden * weight, topology) / 3)
        said = self.out(functional.silu(self.bond(functional.silu(even))))
        turn = STEP * (by_axis(odd.sum(dim=1), topology) * said[:, :TURNS]).sum(dim=-1)
        return turn, log_spread(said[:, TURNS])
