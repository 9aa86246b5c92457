"""What the distances between atoms say of their bonds, by the statistics of real molecules.

A network's bond probabilities come from the noisy positions of its last call; the final positions
are not consulted by the search for the most probable molecule. Here they have their say by Bayes'
rule, p(order | heads, d) proportional to p(order | heads) p(d | order, elements), with the
densities counted in training molecules and widened by the error that few network calls leave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.errors import DataError

FloatArray = NDArray[np.float64]

NEAREST: Final = 0.5
BIN: Final = 0.01
N_BINS: Final = 450
"""Distances are counted in bins of ``BIN`` Å from ``NEAREST`` Å up; one more bin holds the rest."""

UNSEEN: Final = 1.0
"""Pairs, spread evenly over all distances, that are added to those counted, so nothing is ruled
out; without an effect between 0.1 and 20."""


@dataclass(frozen=True, eq=False)
class DistanceStatistics:
    """How often atoms of two elements lie at a distance, by the bond between them.

    Equal when the contents are.

    Attributes:
        atomic_numbers: Elements that were counted, ascending.
        counts: Pairs, shape (n_elements, n_elements, 5, N_BINS + 1), symmetric in the first two.
        sigma: Standard deviation in Å by which densities are widened: the error of a distance
            that a model leaves.
        element_weight: Weight of the element head beside the bonds. It is too sure of itself for
            positions that it did not see.
        charge_weight: Weight of the charge head beside the bonds. Without it, the cheapest way to
            fit a misplaced neighbour is a charged atom.
    """

    atomic_numbers: tuple[int, ...]
    counts: NDArray[np.int64]
    sigma: float = 0.1
    element_weight: float = 1.0
    charge_weight: float = 1.0

    @classmethod
    def count(
        cls, molecules: Iterable[Molecule], atomic_numbers: tuple[int, ...]
    ) -> DistanceStatistics:
        """Count all pairs of some molecules, every one from both of its ends; weights are 1.

        Args:
            molecules: With bonds; atoms of other elements are left out.
            atomic_numbers: Elements to count.
        """
        numbers = tuple(sorted(atomic_numbers))
        place = np.full(256, -1)
        place[list(numbers)] = range(len(numbers))
        counts = np.zeros((*[len(numbers)] * 2, N_BOND_CLASSES, N_BINS + 1), dtype=np.int64)
        for molecule in molecules:
            element = place[molecule.atomic_numbers]
            known = element >= 0
            counted = known[:, None] & known & ~np.eye(molecule.n_atoms, dtype=bool)
            first, second = np.nonzero(counted)
            bond, where = bond_matrix(molecule)[counted], bins_of(molecule.pos)[counted]
            np.add.at(counts, (element[first], element[second], bond, where), 1)
        return cls(numbers, counts)

    @classmethod
    def load(cls, path: Path) -> DistanceStatistics:
        """Statistics from an ``.npz`` file.

        Raises:
            DataError: The file is missing or holds no counts.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                numbers = tuple(archive["atomic_numbers"].tolist())
                counts = np.zeros((*[len(numbers)] * 2, N_BOND_CLASSES, N_BINS + 1), dtype=np.int64)
                first, second = np.triu_indices(len(numbers))
                counts[first, second] = counts[second, first] = archive["counts"]
                weights = archive["weights"].tolist()
            return cls(numbers, counts, *weights)
        except (OSError, ValueError, KeyError, EOFError, TypeError):
            raise DataError(f"{path} is not a readable table", "Reinstall molgen") from None

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file; equal statistics make equal files."""
        upper = np.triu_indices(len(self.atomic_numbers))
        np.savez_compressed(
            path,
            atomic_numbers=np.array(self.atomic_numbers, dtype=np.uint8),
            counts=self.counts[upper].astype(np.uint32),
            weights=np.array([self.sigma, self.element_weight, self.charge_weight]),
        )

    def log_density(self, vocabulary: Vocabulary) -> FloatArray:
        """Log-probability of each bin, given the bond and the classes of the elements.

        Args:
            vocabulary: Meaning of the element classes. Two elements that were never counted
                together get densities that do not depend on the bond.

        Returns:
            Shape (n_elements, n_elements, 5, N_BINS + 1).
        """
        return _log_density(self, vocabulary)

    @cached_property
    def digest(self) -> bytes:
        """A hash of the contents, the same in every process."""
        weights = self.sigma, self.element_weight, self.charge_weight
        head = repr((self.atomic_numbers, *weights)).encode()
        return hashlib.blake2b(head + self.counts.tobytes(), digest_size=16).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DistanceStatistics) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=8)
def _log_density(statistics: DistanceStatistics, vocabulary: Vocabulary) -> FloatArray:
    numbers = statistics.atomic_numbers
    counts = np.zeros((*[vocabulary.n_elements] * 2, N_BOND_CLASSES, N_BINS + 1))
    found = [k for k, z in enumerate(vocabulary.atomic_numbers) if z in numbers]
    known = [numbers.index(vocabulary.atomic_numbers[k]) for k in found]
    counts[np.ix_(found, found)] = statistics.counts[np.ix_(known, known)]
    total = counts.sum(axis=-1, keepdims=True)
    # A bond that no pair of these elements has, such as H-H, is unlikely at any distance.
    total = np.where(total, total, total.sum(axis=2, keepdims=True))
    sigma = statistics.sigma / BIN
    near = gaussian_filter1d(counts[..., :N_BINS], sigma, axis=-1, mode="constant")
    widened = np.concatenate([near, counts[..., N_BINS:]], axis=-1)
    density: FloatArray = np.log((widened + UNSEEN / N_BINS) / (total + UNSEEN))
    return density


def bins_of(pos: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin of every pair of atoms.

    Args:
        pos: Positions in Å, shape (n, 3). What is not finite counts as far away.

    Returns:
        Shape (n, n), 0 to `N_BINS`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        x = np.asarray(pos, dtype=np.float64)
        distance = np.sqrt(np.square(x[:, None] - x[None]).sum(axis=-1))
        place = np.nan_to_num((distance - NEAREST) / BIN, nan=N_BINS, posinf=N_BINS)
    return place.clip(0, N_BINS).astype(np.int64)


def with_distances(beliefs: Beliefs, statistics: DistanceStatistics) -> Beliefs:
    """Beliefs after a look at the distances.

    Densities are those of each atom's most probable element. The result is for a search for the
    largest sum, and nothing in it is normalised.

    Args:
        beliefs: The model's log-probabilities and final positions.
        statistics: Distances of real molecules, and the weights of the heads beside them.

    Returns:
        The same with other log-probabilities; what was impossible still is.
    """
    density = statistics.log_density(beliefs.vocabulary)
    element = beliefs.element_log_prob.argmax(axis=1)
    evidence = density[element[:, None], element[None], :, bins_of(beliefs.pos)]
    element_log_prob = statistics.element_weight * beliefs.element_log_prob
    charge_log_prob = statistics.charge_weight * beliefs.charge_log_prob
    return replace(
        beliefs,
        element_log_prob=element_log_prob.astype(np.float32),
        charge_log_prob=charge_log_prob.astype(np.float32),
        bond_log_prob=(beliefs.bond_log_prob + evidence).astype(np.float32),
    )
