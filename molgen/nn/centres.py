"""Atoms with three neighbours, and how far each stands out of the plane of these.

Distances along one bond and two say nothing of that where an atom is nearly flat: they change with
its square only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.axes import taken

SHORT = 1e-2
"""Length of a bond, in units of the network's coordinates, that is not divided by."""


@dataclass(frozen=True)
class Centres:
    """Atoms with three neighbours, in as many places as there are atoms.

    Attributes:
        atom: The atoms, ``[B, C]``.
        around: Their neighbours, ``[B, C, 3]``.
        real: 1 for every one that there is, 0 for every other, ``[B, C]``.
    """

    atom: Tensor
    around: Tensor
    real: Tensor


def centres_of(bonded: Tensor, distance: Tensor) -> Centres:
    """The atoms of graphs that have three neighbours.

    Args:
        bonded: Where there are bonds, ``[B, N, N]`` bool, symmetric, without loops.
        distance: Distances of the atoms, ``[B, N, N]``.
    """
    n = bonded.shape[-1]
    score, atom = (bonded.sum(dim=-1) == 3).to(distance.dtype).sort(descending=True, stable=True)
    if bonded.device.type == "cpu":
        # Most places are empty, and come last. A GPU would have to be asked which.
        n_filled = max(1, int(score.sum(dim=1).max()))
        score, atom = score[:, :n_filled], atom[:, :n_filled]
    closeness = (bonded / (1 + distance)).gather(1, atom[..., None].expand(-1, -1, n))
    around = closeness.topk(min(3, n)).indices
    if n < 3:
        around = torch.nn.functional.pad(around, (0, 3 - n))
    return Centres(atom, around, score)


@dataclass(frozen=True)
class Pyramids:
    """How far centres stand out.

    Attributes:
        height: Volume that the unit vectors to the three neighbours span, between -1 and 1, 0
            where all four atoms lie in a plane; it changes its sign in a mirror, ``[B, C]``.
        along: Its derivatives by the neighbours, ``[B, C, 3, 3]``; the atom itself has their sum
            with the opposite sign.
    """

    height: Tensor
    along: Tensor


def pyramids(pos: Tensor, centres: Centres) -> Pyramids:
    """How far the centres of positions, ``[B, N, 3]``, stand out."""
    bond = taken(pos, centres.around) - taken(pos, centres.atom)[:, :, None]
    length = bond.norm(dim=-1, keepdim=True).clamp_min(SHORT)
    unit = bond / length
    opposite = torch.linalg.cross(unit.roll(-1, dims=2), unit.roll(1, dims=2))
    parts = (unit * opposite).sum(dim=-1, keepdim=True)
    along = (opposite - parts * unit) / length
    return Pyramids(parts[:, :, 0, 0], along)


def height_gradient(found: Pyramids, centres: Centres, n: int) -> Tensor:
    """Derivatives of every height by all positions, ``[B, C, N, 3]``."""
    values = torch.cat([found.along, -found.along.sum(dim=2, keepdim=True)], dim=2)
    place = torch.cat([centres.around, centres.atom[..., None]], dim=2)
    rows = values.new_zeros(*place.shape[:2], n, 3)
    return rows.scatter_add(2, place[..., None].expand(-1, -1, -1, 3), values)
