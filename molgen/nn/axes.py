"""Bonds that the parts of a molecule turn about, and the torsion angles around them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

OTHERS = 3
"""Neighbours of an atom, beside the one across the bond, that a torsion may begin with."""

STRAIGHT = 0.3
"""Sine of a bond angle below which the torsions that it is part of mean nothing."""

TINY = 1e-4
"""Squared areas, in units of the network's coordinates, that are not divided by."""


@dataclass(frozen=True)
class Axes:
    """Bonds between atoms that both have other neighbours, and the torsions around each.

    There are at most as many places as atoms, so that shapes need not depend on graphs; a graph
    has fewer such bonds than atoms unless it is a cage without hydrogen, whose longest are left
    out.

    Attributes:
        atoms: Both atoms of every bond, ``[B, E, 2]``.
        others: The other neighbours of either, ``[B, E, 2, K]``.
        real: 1 for every torsion that there is, 0 for every other, ``[B, E, K, K]``.
    """

    atoms: Tensor
    others: Tensor
    real: Tensor


def axes_of(bonded: Tensor, distance: Tensor, mask: Tensor) -> Axes:
    """The bonds to turn about in graphs.

    Args:
        bonded: Where there are bonds, ``[B, N, N]`` bool, symmetric, without loops.
        distance: Distances of the atoms, ``[B, N, N]``; of too many bonds the shortest count.
        mask: Real atoms, ``[B, N]`` bool: a molecule has as many places as atoms in any batch.
    """
    n = bonded.shape[-1]
    closeness = bonded / (1 + distance)
    inner = bonded.sum(dim=-1) > 1
    axis = closeness * (inner[:, :, None] & inner[:, None, :])
    score, place = axis.triu().flatten(1).topk(n)
    there = (score > 0) & (torch.arange(n, device=mask.device) < mask.sum(dim=1, keepdim=True))
    if mask.device.type == "cpu":
        # Most places are empty. A GPU would have to be asked which; they come last.
        n_filled = max(1, int(there.sum(dim=1).max()))
        there, place = there[:, :n_filled], place[:, :n_filled]
    atoms = torch.stack([place // n, place % n], dim=-1)
    sides = [_others(closeness, atoms[..., side], atoms[..., 1 - side]) for side in (0, 1)]
    (first, has_first), (last, has_last) = sides
    # A ring of three leads back to where it came from.
    apart = first[..., :, None] != last[..., None, :]
    real = there[..., None, None] & has_first[..., :, None] & has_last[..., None, :] & apart
    return Axes(atoms, torch.stack([first, last], dim=2), real.to(distance.dtype))


def _others(closeness: Tensor, atom: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours of atoms, ``[B, E, K]``, and where there is one."""
    n = closeness.shape[-1]
    rows = closeness.gather(1, atom[..., None].expand(-1, -1, n))
    rows = rows.scatter(2, across[..., None], 0.0)
    score, place = rows.topk(min(OTHERS, n))
    return place, score > 0


@dataclass(frozen=True)
class Dihedrals:
    """The torsions of positions.

    Angles and their derivatives by Blondel and Karplus (1996, J. Comput. Chem. 17, 1132), which
    have no singularity where an angle is zero.

    Attributes:
        angle: Radians, ``[B, E, K, K]``.
        sound: 1 where there is a torsion and no bond angle is straight, ``[B, E, K, K]``.
        along: Derivatives by the atoms at either end as far as they depend on one end only,
            ``[B, E, 2, K, 3]``, those of the second end with the opposite sign.
        lean: How far either end leans along the axis, in lengths of it, ``[B, E, 2, K]``.
    """

    angle: Tensor
    sound: Tensor
    along: Tensor
    lean: Tensor


def dihedrals(pos: Tensor, axes: Axes) -> Dihedrals:
    """The torsions of positions, ``[B, N, 3]``."""
    middle = taken(pos, axes.atoms)  # B E 2 3
    ends = taken(pos, axes.others)  # B E 2 K 3
    axis = middle[:, :, 0] - middle[:, :, 1]
    length = axis.norm(dim=-1).clamp_min(TINY**0.5)
    arm = ends - middle[..., None, :]
    normal = torch.linalg.cross(arm, axis[:, :, None, None].expand_as(arm))
    area = normal.square().sum(dim=-1)
    first, last = normal[:, :, 0, :, None], normal[:, :, 1, None, :]
    cosine = (first * last).sum(dim=-1)
    crossed = torch.linalg.cross(last.expand_as(first + last), first.expand_as(first + last))
    sine = (crossed * axis[:, :, None, None]).sum(dim=-1) / length[..., None, None]
    is_bent = area > (STRAIGHT * length[..., None, None]).square() * arm.square().sum(dim=-1)
    bent = is_bent.to(pos.dtype)
    return Dihedrals(
        angle=torch.atan2(sine, cosine),
        sound=axes.real * bent[:, :, 0, :, None] * bent[:, :, 1, None, :],
        along=-length[..., None, None, None] * normal / area.clamp_min(TINY)[..., None],
        lean=(arm * axis[:, :, None, None]).sum(dim=-1) / length.square()[..., None, None],
    )


def taken(values: Tensor, index: Tensor) -> Tensor:
    """Rows of ``values``, ``[B, N, D]``, by index, ``[B, ...]``: ``[B, ..., D]``."""
    flat = index.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).view(*index.shape, values.shape[-1])


def mean_gradient(found: Dihedrals, axes: Axes, share: Tensor, n: int) -> Tensor:
    """Derivatives of a weighted sum of the torsions around every bond, ``[B, E, N, 3]``.

    Args:
        found: The torsions.
        axes: The bonds.
        share: Weights, ``[B, E, K, K]``.
        n: Number of atoms.
    """
    both = torch.stack([share.sum(dim=-1), -share.sum(dim=-2)], dim=2)  # B E 2 K
    ends = both[..., None] * found.along
    pulled = ends.sum(dim=3)  # B E 2 3
    leaned = (found.lean[..., None] * ends).sum(dim=3).sum(dim=2)
    # What turns the ends must not turn the whole: the atoms of the bond take it back.
    first, last = -pulled[:, :, 0] - leaned, leaned - pulled[:, :, 1]
    values = torch.cat([ends.flatten(2, 3), torch.stack([first, last], dim=2)], dim=2)
    place = torch.cat([axes.others.flatten(2), axes.atoms], dim=2)
    rows = values.new_zeros(*place.shape[:2], n, 3)
    return rows.scatter_add(2, place[..., None].expand(-1, -1, -1, 3), values)


def wrapped(angle: Tensor) -> Tensor:
    """The same angle between −π and π."""
    return torch.atan2(angle.sin(), angle.cos())
