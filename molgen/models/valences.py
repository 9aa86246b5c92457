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
        of the other orders, ``[K, C, A, S]`` bool; no larger than the vocabulary needs.
    """
    rows = [
        (row, column, *count)
        for row, z in enumerate(vocabulary.atomic_numbers)
        for column, charge in enumerate(vocabulary.charges)
        for count in ALLOWED_BONDS.get((z, charge), ())
    ]
    most = [max((place[axis] for place in rows), default=0) for axis in (2, 3)]
    shape = (len(vocabulary.atomic_numbers), len(vocabulary.charges), most[0] + 1, most[1] + 1)
    allowed = torch.zeros(shape, dtype=torch.bool)
    for place in rows:
        allowed[place] = True
    return allowed
