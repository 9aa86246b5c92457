"""Between atoms and the element classes of a vocabulary, some of which have implicit hydrogens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import Vocabulary

IntArray = NDArray[np.integer[Any]]


def element_classes(
    vocabulary: Vocabulary, atomic_numbers: IntArray, hydrogens: IntArray | None
) -> NDArray[np.int64]:
    """Element classes of atoms, ``[n]``; -1 for those that there are none of.

    Args:
        vocabulary: The classes.
        atomic_numbers: ``[n]``.
        hydrogens: Implicit ones, ``[n]``; None for none.
    """
    given = np.zeros(len(atomic_numbers), np.int64) if hydrogens is None else hydrogens
    classes = zip(vocabulary.atomic_numbers, vocabulary.hydrogen_counts, strict=True)
    place = {one: k for k, one in enumerate(classes)}
    pairs = zip(atomic_numbers.tolist(), given.tolist(), strict=True)
    return np.array([place.get(one, -1) for one in pairs], np.int64)


def implicit_hydrogens(vocabulary: Vocabulary, classes: IntArray) -> NDArray[np.uint8] | None:
    """Implicit hydrogens of atoms by their element classes; None where hydrogens are atoms."""
    if not vocabulary.hydrogens:
        return None
    counts: NDArray[np.uint8] = np.array(vocabulary.hydrogens, np.uint8)[classes]
    return counts
