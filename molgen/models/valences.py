"""The valences of a vocabulary as a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary
from molgen.chem.valence import ALLOWED_BONDS


def allowed_counts(vocabulary: Vocabulary) -> Tensor:
    """`molgen.chem.valence.ALLOWED_BONDS` by the classes of a vocabulary.

    Returns:
        Whether an atom may be so, by element class, charge class, number of aromatic bonds and sum
        of the other orders, implicit hydrogens left out, ``[K, C, A, S]`` bool; no larger than the
        vocabulary needs.
    """
    rows = [
        (row, column, n_aromatic, order - n_hydrogens)
        for row, (z, n_hydrogens) in enumerate(
            zip(vocabulary.atomic_numbers, vocabulary.hydrogen_counts, strict=True)
        )
        for column, charge in enumerate(vocabulary.charges)
        for n_aromatic, order in ALLOWED_BONDS.get((z, charge), ())
        if order >= n_hydrogens
    ]
    most = [max((place[axis] for place in rows), default=0) for axis in (2, 3)]
    shape = (vocabulary.n_elements, vocabulary.n_charges, most[0] + 1, most[1] + 1)
    allowed = torch.zeros(shape, dtype=torch.bool)
    for place in rows:
        allowed[place] = True
    return allowed
