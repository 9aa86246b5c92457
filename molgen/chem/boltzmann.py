"""Populations of conformers; needs no chemistry package."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

KT_PER_KELVIN: Final = 0.0019872041
"""kcal/mol per kelvin."""


def boltzmann_weights(energy: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Populations of conformers.

    Args:
        energy: kcal/mol, ``[K]``.
        temperature: K.
    """
    relative = np.asarray(energy, np.float64) - np.min(energy)
    weights: NDArray[np.float64] = np.exp(-relative / (KT_PER_KELVIN * temperature))
    return weights / weights.sum()
