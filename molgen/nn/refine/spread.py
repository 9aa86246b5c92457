"""Bounds of learnt standard deviations."""

from __future__ import annotations

import math

from torch import Tensor

LOG_SPREADS = (-4.0, 1.2)
"""Least and largest logarithm of the deviation of a turn, radians, and of an improper."""

FIRST_LOG_SPREAD = -1.5


def log_spread(said: Tensor) -> Tensor:
    """Logarithm of the deviation of a turn or of an improper."""
    return (FIRST_LOG_SPREAD + said).clamp(*LOG_SPREADS)


def between(said: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Logarithms within bounds, which a gradient always leads away from."""
    low, high = (math.log(bound) for bound in bounds)
    return low + (high - low) * said.sigmoid()
