"""How many atoms each molecule of a run gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.errors import UsageError
from molgen.models.info import ModelInfo, MoleculeHeader
from molgen.sampling.noise import draw_sizes
from molgen.tasks.given import Conditioning


def sizes_of(
    info: ModelInfo, n_atoms: tuple[int, int] | None, given: Conditioning | None, seed: int
) -> Callable[[Sequence[int]], NDArray[np.int64]]:
    """The function from molecules' numbers to their sizes.

    Args:
        info: Says how large molecules are.
        n_atoms: Smallest and largest size; None follows the training data.
        given: What is given of the molecules; None for nothing.
        seed: Seed of the run.

    Raises:
        UsageError: No training molecule has a size within the range, or a scaffold fills it.
    """
    if given is not None and not given.task.partial:
        return lambda indices: np.array([given.of(index).n_atoms for index in indices])
    low, high = n_atoms or (0, info.max_atoms)
    if given is not None and low <= given.most_atoms:
        low = given.most_atoms + 1
        if high < low:
            raise UsageError(
                f"scaffold {given.label} has {given.most_atoms} atoms, which leaves nothing to "
                f"add to molecules of up to {high}",
                f"Use --n-atoms {low}-{info.max_atoms}, or keep fewer atoms of it",
            )
    probability = size_probability(info, n_atoms if given is None else (low, high))
    return lambda indices: draw_sizes(probability, seed, indices)


def size_probability(info: MoleculeHeader[Any], n_atoms: tuple[int, int] | None) -> np.ndarray:
    """Probability of every number of atoms, from 0 to the largest, ``[max_atoms + 1]``.

    Raises:
        UsageError: The range holds no size that the training data have.
    """
    counts = np.array(info.n_atoms, dtype=np.float64)
    if n_atoms is not None:
        allowed = np.arange(len(counts))
        counts = np.where((allowed >= n_atoms[0]) & (allowed <= n_atoms[1]), counts, 0.0)
    if n_atoms is not None and not counts.any():
        present = np.flatnonzero(info.n_atoms)
        raise UsageError(
            f"no training molecule of {info.name} has {n_atoms[0]} to {n_atoms[1]} atoms",
            f"Choose within {present[0]}-{present[-1]}",
        )
    return counts / counts.sum()
