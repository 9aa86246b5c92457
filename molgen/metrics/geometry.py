"""How like the reference the shapes are: bond lengths and angles, rings, how far atoms reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from scipy.stats import wasserstein_distance

from molgen.chem.molecule import Molecule

BondType = tuple[int, int, int]
"""(smaller atomic number, larger atomic number, bond class)."""

Key = TypeVar("Key", bound=Hashable)
MIN_SAMPLES = 20  # fewer values on either side say nothing about a distribution


@dataclass(frozen=True)
class Transport:
    """Wasserstein-1 distance between two samples of one quantity, per kind and overall.

    Attributes:
        by_kind: Distance for each kind (bond type, or central element) in the quantity's unit.
        mean: Mean over kinds, weighted by how often the reference has them; None without kinds.
        coverage: Fraction of the reference's values whose kind is in `by_kind`.
    """

    by_kind: dict[Hashable, float]
    mean: float | None
    coverage: float


def bond_lengths(molecules: Iterable[Molecule]) -> dict[BondType, NDArray[np.float64]]:
    """Bond lengths in Å by bond type, over all molecules that have bonds."""
    found: dict[BondType, list[float]] = {}
    for molecule in molecules:
        begin, end, order = molecule.bonds.T
        low, high = np.sort(molecule.atomic_numbers[np.stack([begin, end])], axis=0).tolist()
        apart = molecule.pos[begin].astype(np.float64) - molecule.pos[end]
        lengths = np.linalg.norm(apart, axis=1).tolist()
        for kind, length in zip(zip(low, high, order.tolist(), strict=True), lengths, strict=True):
            found.setdefault(kind, []).append(length)
    return _arrays(found)


def bond_angles(molecules: Iterable[Molecule]) -> dict[int, NDArray[np.float64]]:
    """Angles between bonds in degrees by the atomic number of the central atom."""
    found: dict[int, list[float]] = {}
    for molecule in molecules:
        neighbours: dict[int, list[int]] = {}
        for begin, end in molecule.bonds[:, :2].tolist():
            neighbours.setdefault(begin, []).append(end)
            neighbours.setdefault(end, []).append(begin)
        triples = [(a, b, c) for b, ends in neighbours.items() for a, c in combinations(ends, 2)]
        for (_, centre, _), angle in zip(triples, _angles(molecule.pos, triples), strict=True):
            found.setdefault(int(molecule.atomic_numbers[centre]), []).append(angle)
    return _arrays(found)


def ring_sizes(molecules: Iterable[Molecule]) -> dict[int, int]:
    """Number of rings by size in the smallest sets of rings of the bond graphs, ascending."""
    sizes: Counter[int] = Counter()
    for molecule in molecules:
        sizes.update(_rings(molecule))
    return dict(sorted(sizes.items()))


def ring_counts(molecules: Iterable[Molecule]) -> dict[int, int]:
    """Number of molecules by how many rings they have, ascending."""
    return dict(sorted(Counter(len(_rings(molecule)) for molecule in molecules).items()))


def radii_of_gyration(molecules: Iterable[Molecule]) -> NDArray[np.float64]:
    """Root mean square distance of the atoms from their mean, Å; every atom counts alike.

    RDKit's ``CalcRadiusOfGyration`` weighs atoms by their masses. Molecules without atoms are
    left out.
    """
    placed = (molecule.pos.astype(np.float64) for molecule in molecules if molecule.n_atoms)
    return np.sqrt(np.array([pos.var(axis=0).sum() for pos in placed]))


def wasserstein(sample: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    """Wasserstein-1 distance of two samples of one number; None where one is too small."""
    values = sample[np.isfinite(sample)]
    if min(len(values), len(reference)) < MIN_SAMPLES:
        return None
    return float(wasserstein_distance(values, reference))


def transport(
    sample: Mapping[Key, NDArray[np.float64]], reference: Mapping[Key, NDArray[np.float64]]
) -> Transport:
    """Wasserstein-1 distance of two samples, for each kind that both have often enough.

    Args:
        sample: Values by kind.
        reference: Values by kind.

    Returns:
        The distances; kinds with fewer than `MIN_SAMPLES` finite values on either side are left
        out and lower the coverage.
    """
    by_kind: dict[Hashable, float] = {}
    weight: dict[Hashable, int] = {}
    n_reference = sum(len(values) for values in reference.values())
    for kind, expected in reference.items():
        distance = wasserstein(sample.get(kind, np.zeros(0)), expected)
        if distance is not None:
            by_kind[kind] = distance
            weight[kind] = len(expected)
    n_covered = sum(weight.values())
    mean = sum(by_kind[kind] * weight[kind] for kind in by_kind) / n_covered if by_kind else None
    return Transport(by_kind, mean, n_covered / n_reference if n_reference else 0.0)


def _rings(molecule: Molecule) -> list[int]:
    """Sizes of the rings of a smallest set of them."""
    graph = Chem.RWMol()
    for _ in range(molecule.n_atoms):
        graph.AddAtom(Chem.Atom(0))
    for begin, end in molecule.bonds[:, :2].tolist():
        graph.AddBond(begin, end, Chem.BondType.SINGLE)
    return [len(ring) for ring in Chem.GetSSSR(graph)]


def _angles(pos: NDArray[np.float32], triples: Sequence[tuple[int, int, int]]) -> list[float]:
    if not triples:
        return []
    first, centre, last = np.array(triples).T
    xyz = pos.astype(np.float64)
    u, v = xyz[first] - xyz[centre], xyz[last] - xyz[centre]
    # atan2 keeps its precision near 0° and 180°, where the arccos of a dot product loses it.
    sine = np.linalg.norm(np.cross(u, v), axis=1)
    angles: list[float] = np.degrees(np.arctan2(sine, (u * v).sum(axis=1))).tolist()
    return angles


def _arrays(found: Mapping[Key, list[float]]) -> dict[Key, NDArray[np.float64]]:
    return {kind: np.array(values) for kind, values in sorted(found.items())}
