"""Where poses are looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.errors import UsageError

Triple = tuple[float, float, float]

PADDING: Final = 4.0
"""Å around a ligand, on every side."""

LARGEST: Final = 100.0
"""Å; larger boxes are whole proteins, and Vina's maps of them gigabytes."""


@dataclass(frozen=True)
class Box:
    """A box along the axes.

    Attributes:
        center: Å.
        size: Å.
    """

    center: Triple
    size: Triple

    def __post_init__(self) -> None:
        """Reject what is no box.

        Raises:
            UsageError: A number is not finite, a side not positive or too long.
        """
        if not all(math.isfinite(one) for one in self.center):
            raise UsageError("the center of the box is not finite", "Give --center x,y,z in Å")
        if not all(0 < one <= LARGEST for one in self.size):
            raise UsageError(
                f"the box is {' x '.join(f'{one:g}' for one in self.size)} Å",
                f"Use sides of up to {LARGEST:g} Å: --size x,y,z",
            )


def around(pos: NDArray[np.floating], padding: float = PADDING) -> Box:
    """The box around some atoms.

    Args:
        pos: Å, ``[N, 3]``.
        padding: Å on every side.
    """
    low, high = pos.min(axis=0) - padding, pos.max(axis=0) + padding
    center, size = (low + high) / 2, high - low
    return Box(_triple(center), _triple(size))


def parse_triple(text: str) -> Triple:
    """Read ``"1,2.5,-3"``.

    Raises:
        UsageError: It is not three numbers.

    Example:
        >>> parse_triple("1,2.5,-3")
        (1.0, 2.5, -3.0)
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f'"{text[:60]}" is not three numbers', "Type them as x,y,z") from None
    return x, y, z


def _triple(values: NDArray[np.floating]) -> Triple:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
