"""What a model believes about one molecule: log-probabilities over discrete states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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

    def leaning(self, element_prior: Sequence[float]) -> Beliefs:
        """The same with a prior of the elements.

        Where a valence is broken, one element is often as probable as another, and the cheapest
        repair would always be the same (Menon et al. 2021, arXiv 2007.07314, adjust logits so).

        Args:
            element_prior: Added to the log-probabilities of the elements; empty for nothing.
        """
        if not element_prior:
            return self
        prior = np.asarray(element_prior, dtype=self.element_log_prob.dtype)
        log_prob = self.element_log_prob + prior
        largest = log_prob.max(axis=1, keepdims=True)
        total = largest + np.log(np.exp(log_prob - largest).sum(axis=1, keepdims=True))
        return replace(self, element_log_prob=log_prob - total)
