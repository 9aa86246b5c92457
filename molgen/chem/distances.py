"""What the distances between atoms say of their bonds, by the statistics of real molecules.

A network's bond probabilities come from the noisy positions of its last call; the final positions
are not consulted by the search for the most probable molecule. Here they have their say by Bayes'
rule, p(order | heads, d) proportional to p(order | heads) p(d | order, elements), with the
densities counted in training molecules and widened by the error that few network calls leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.errors import DataError

FloatArray = NDArray[np.float64]

NEAREST: Final = 0.5
BIN: Final = 0.01
N_BINS: Final = 450
"""Distances are counted in bins of ``BIN`` Å from ``NEAREST`` Å up; one more bin holds the rest."""

WIDTH: Final = 0.1
"""Standard deviation in Å by which densities are widened: the error of a distance at few calls.

Measured flat between 0.07 and 0.14 Å.
"""

UNSEEN: Final = 1.0
"""Pairs, spread evenly over all distances, that are added to those counted, so nothing is ruled
out; without an effect between 0.1 and 20."""

ELEMENT_SHARE: Final = 0.7
"""Weight of the element head beside the bonds. It is too sure of itself for positions that it
did not see; less than this helps the bonds more and takes the elements away from the data's."""

CHARGE_SHARE: Final = 4.0
"""Weight of the charge head beside the bonds. Without it, the cheapest way to fit a misplaced
neighbour is a charged atom: one molecule in ten had some, against one in a thousand of QM9."""


@dataclass(frozen=True)
class DistanceCounts:
    """How often atoms of two elements lie at a distance, by the bond between them.

    Attributes:
        atomic_numbers: Elements that were counted, ascending.
        counts: Pairs, shape (n_elements, n_elements, 5, N_BINS + 1), symmetric in the first two.
    """

    atomic_numbers: tuple[int, ...]
    counts: NDArray[np.int64]

    def log_density(self, vocabulary: Vocabulary) -> FloatArray:
        """Log-probability of each bin, given the bond and the classes of the elements.

        Args:
            vocabulary: Meaning of the element classes. One that was not counted gets densities
                that do not depend on the bond.

        Returns:
            Shape (n_elements, n_elements, 5, N_BINS + 1).
        """
        shape = (*[vocabulary.n_elements] * 2, N_BOND_CLASSES, N_BINS + 1)
        counts = np.zeros(shape)
        found = [k for k, z in enumerate(vocabulary.atomic_numbers) if z in self.atomic_numbers]
        known = [self.atomic_numbers.index(vocabulary.atomic_numbers[k]) for k in found]
        counts[np.ix_(found, found)] = self.counts[np.ix_(known, known)]
        total = counts.sum(axis=-1, keepdims=True)
        # A bond that no pair of these elements has, such as H-H, is unlikely at any distance.
        total = np.where(total, total, total.sum(axis=2, keepdims=True))
        near = gaussian_filter1d(counts[..., :N_BINS], WIDTH / BIN, axis=-1, mode="constant")
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


def with_distances(beliefs: Beliefs) -> Beliefs:
    """Beliefs after a look at the distances.

    Densities are those of each atom's most probable element. Weights of elements and charges
    beside the bonds are `ELEMENT_SHARE` and `CHARGE_SHARE`; the result is for a search for the
    largest sum, and nothing in it is normalised.

    Args:
        beliefs: The model's log-probabilities and final positions.

    Returns:
        The same with other log-probabilities; what was impossible still is.

    Example:
        >>> from molgen.chem.elements import QM9
        >>> ignorant = [np.full(shape, -1.6, np.float32) for shape in ((2, 5), (2, 3), (2, 2, 5))]
        >>> ignorant[0][:, 1] = 0.0  # two carbons
        >>> pos = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]], np.float32)
        >>> int(with_distances(Beliefs(QM9, pos, *ignorant)).bond_log_prob[0, 1].argmax())
        3
    """
    density = _shipped(beliefs.vocabulary)
    element = beliefs.element_log_prob.argmax(axis=1)
    evidence = density[element[:, None], element[None], :, bins_of(beliefs.pos)]
    return replace(
        beliefs,
        element_log_prob=(ELEMENT_SHARE * beliefs.element_log_prob).astype(np.float32),
        charge_log_prob=(CHARGE_SHARE * beliefs.charge_log_prob).astype(np.float32),
        bond_log_prob=(beliefs.bond_log_prob + evidence).astype(np.float32),
    )


def save_distances(path: Path, counted: DistanceCounts) -> None:
    """Write counts to an ``.npz`` file; equal counts make equal files."""
    upper = np.triu_indices(len(counted.atomic_numbers))
    np.savez_compressed(
        path,
        atomic_numbers=np.array(counted.atomic_numbers, dtype=np.uint8),
        counts=counted.counts[upper].astype(np.uint32),
    )


def read_distances(path: Path) -> DistanceCounts:
    """Counts from their file.

    Raises:
        DataError: The file is missing or holds no counts.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            numbers = tuple(archive["atomic_numbers"].tolist())
            counts = np.zeros((*[len(numbers)] * 2, N_BOND_CLASSES, N_BINS + 1), dtype=np.int64)
            first, second = np.triu_indices(len(numbers))
            counts[first, second] = counts[second, first] = archive["counts"]
    except (OSError, ValueError, KeyError, EOFError):
        raise DataError(f"{path} is not a readable table", "Reinstall molgen") from None
    return DistanceCounts(numbers, counts)


@cache
def _shipped(vocabulary: Vocabulary) -> FloatArray:
    """Densities by the training molecules of QM9, for the classes of a vocabulary."""
    with as_file(files("molgen") / "reference" / "qm9_distances.npz") as path:
        return read_distances(path).log_density(vocabulary)
