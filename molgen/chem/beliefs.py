"""What a model believes about one molecule: log-probabilities over discrete states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import Vocabulary


@dataclass(frozen=True)
class Beliefs:
    """A model's final positions and log-probabilities for one molecule.

    Attributes:
        vocabulary: Meaning of the element and charge classes.
        pos: Positions in Å, shape (n, 3), float32.
        element_log_prob: Shape (n, n_elements), float32; each row is normalised.
        charge_log_prob: Shape (n, n_charges), float32; each row is normalised.
        bond_log_prob: Shape (n, n, 5), float32, symmetric in the first two axes; the diagonal
            is ignored.
    """

    vocabulary: Vocabulary
    pos: NDArray[np.float32]
    element_log_prob: NDArray[np.float32]
    charge_log_prob: NDArray[np.float32]
    bond_log_prob: NDArray[np.float32]

    @property
    def n_atoms(self) -> int:
        """Number of atoms, hydrogens included."""
        return len(self.pos)
