"""Bond lengths, angles and torsions of two sets of molecules, in one number each.

Kinds are told apart by elements alone, not by bond orders, so that Kekulé structures and aromatic
bonds of the same compound do not differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from molgen.chem.molecule import Molecule
from molgen.metrics.geometry import bond_angles, bond_lengths, transport

Pair = tuple[int, int]
"""(smaller atomic number, larger atomic number)."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Shapes:
    """Internal coordinates of a set of molecules, all molecules pooled.

    Attributes:
        lengths: Bond lengths in Å by the elements of the bond.
        angles: Angles in degrees by the central element.
        torsions: Absolute torsion angles in degrees, 0 to 180, by the elements of the central
            bond; mirror images are the same.
    """

    lengths: dict[Pair, NDArray[np.float64]]
    angles: dict[int, NDArray[np.float64]]
    torsions: dict[Pair, NDArray[np.float64]]


@dataclass(frozen=True)
class ShapeDistance:
    """Wasserstein-1 distances between two sets of molecules, mean over kinds.

    Attributes:
        lengths: In Å; None when no kind is frequent enough on both sides.
        angles: In degrees, alike.
        torsions: In degrees, alike.
    """

    lengths: float | None
    angles: float | None
    torsions: float | None


def shapes_of(molecules: Sequence[Molecule]) -> Shapes:
    """All internal coordinates along bonds.

    Args:
        molecules: Molecules with bonds.
    """
    lengths: dict[Pair, list[NDArray[np.float64]]] = {}
    for (low, high, _), values in bond_lengths(molecules).items():
        lengths.setdefault((low, high), []).append(values)
    return Shapes(_pooled(lengths), bond_angles(molecules), torsions(molecules))


def torsions(molecules: Sequence[Molecule]) -> dict[Pair, NDArray[np.float64]]:
    """Absolute torsion angles in degrees by the elements of the central bond."""
    found: dict[Pair, list[NDArray[np.float64]]] = {}
    for molecule in molecules:
        chains = _chains(molecule)
        if not len(chains):
            continue
        angles = _torsion(molecule.pos.astype(np.float64)[chains])
        centre = np.sort(molecule.atomic_numbers[chains[:, 1:3]], axis=1).astype(np.int64)
        for low, high in np.unique(centre, axis=0).tolist():
            chosen = (centre == (low, high)).all(axis=1)
            found.setdefault((low, high), []).append(angles[chosen])
    return _pooled(found)


def shape_distance(sample: Shapes, reference: Shapes) -> ShapeDistance:
    """Distances of a sample from a reference; see `molgen.metrics.geometry.transport`."""
    return ShapeDistance(
        transport(sample.lengths, reference.lengths).mean,
        transport(sample.angles, reference.angles).mean,
        transport(sample.torsions, reference.torsions).mean,
    )


def _chains(molecule: Molecule) -> NDArray[np.int64]:
    """Every chain of four bonded atoms once, ``[n_chains, 4]``."""
    neighbours: dict[int, list[int]] = {}
    bonds = molecule.bonds[:, :2].tolist()
    for begin, end in bonds:
        neighbours.setdefault(begin, []).append(end)
        neighbours.setdefault(end, []).append(begin)
    chains = [
        (a, b, c, d)
        for b, c in bonds
        for a, d in product(neighbours[b], neighbours[c])
        if len({a, b, c, d}) == 4
    ]
    return np.array(chains, dtype=np.int64).reshape(-1, 4)


def _torsion(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute dihedral angle in degrees of each row of four points, ``[n, 4, 3]``."""
    with np.errstate(invalid="ignore", over="ignore"):
        first, axis, last = np.diff(corners, axis=1).transpose(1, 0, 2)
        left, right = np.cross(first, axis), np.cross(axis, last)
        sine = np.linalg.norm(np.cross(left, right), axis=1)
        angles: NDArray[np.float64] = np.degrees(np.arctan2(sine, (left * right).sum(axis=1)))
    return angles


def _pooled(found: Mapping[Key, list[NDArray[np.float64]]]) -> dict[Key, NDArray[np.float64]]:
    return {kind: np.concatenate(values) for kind, values in sorted(found.items())}
