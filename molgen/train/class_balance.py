"""Shares of the elements among decided molecules, kept where real molecules have them.

A decoder repairs a valence with what comes cheapest: nitrogen in the place of a carbon that lacks
a hydrogen, say. A student that is taught its own decoded molecules learns that taste, is decoded
again, and drifts. So the decoder's beliefs get a prior of the elements, which falls as long as
there are too many of one and rises as long as there are too few: an integral controller.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

MEMORY = 0.9
"""What is left of an atom's count one batch later."""

AT_FIRST = 5000
"""Atoms, in the wanted shares, that are taken as seen before the first batch."""

GAIN = 0.5
"""Change of the log-prior per batch and unit of the logarithm by which a share is off."""

LARGEST = 6.0
"""Largest absolute value of a log-prior."""

RARE = 0.003
"""Added to all shares, so that elements too rare to be counted in a batch are left alone."""


class ClassBalance:
    """Counts the elements of decided molecules and says how to lean against their drift.

    Args:
        wanted: Shares of the elements, ``(K,)``, that sum to 1.
    """

    def __init__(self, wanted: NDArray[np.float64]) -> None:
        self.wanted = wanted
        self.seen = AT_FIRST * wanted
        self.log_prior = np.zeros_like(wanted)

    def add(self, classes: NDArray[np.int64]) -> None:
        """Count the atoms of a batch, given by the classes of their elements.

        Atoms are counted, not shares of batches averaged: small molecules have less hydrogen, and
        come in batches of their own.
        """
        self.seen = MEMORY * self.seen + np.bincount(classes, minlength=len(self.wanted))
        off = np.log((self.wanted + RARE) / (self.seen / self.seen.sum() + RARE))
        self.log_prior = np.clip(self.log_prior + GAIN * off, -LARGEST, LARGEST)

    def state(self) -> dict[str, list[float]]:
        """What to keep for a run that goes on later."""
        return {"seen": self.seen.tolist(), "log_prior": self.log_prior.tolist()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """Go on from a state."""
        self.seen, self.log_prior = np.array(state["seen"]), np.array(state["log_prior"])
