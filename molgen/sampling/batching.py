"""Molecules of a run in batches of similar size, so that little of them is padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Molecules that are drawn in one batch.

    Attributes:
        places: Where they stand in the order that was asked for, from 0.
        indices: Their numbers in the run.
        sizes: Their numbers of atoms.
    """

    places: tuple[int, ...]
    indices: tuple[int, ...]
    sizes: NDArray[np.int64]

    def mask(self, n: int) -> NDArray[np.bool_]:
        """Which of ``n`` rows of each molecule are atoms, ``[B, n]``."""
        return np.arange(n) < self.sizes[:, None]

    def halves(self) -> tuple[Rows, Rows]:
        """The first molecules and the others, of two or more."""
        half = len(self.indices) // 2
        first, last = slice(half), slice(half, None)
        return (
            Rows(self.places[first], self.indices[first], self.sizes[first]),
            Rows(self.places[last], self.indices[last], self.sizes[last]),
        )


def batched(
    indices: Iterable[int],
    sizes_of: Callable[[Sequence[int]], NDArray[np.int64]],
    size: int,
    *,
    first: int,
    window: int,
) -> Iterator[Rows]:
    """Molecules in batches, sorted by size within each window, window after window.

    Args:
        indices: Numbers of the molecules; may be endless.
        sizes_of: Their numbers of atoms.
        size: Molecules per batch.
        first: Molecules of the first window; few let the first ones appear at once.
        window: Molecules of every later one.
    """
    remaining, before, take = iter(indices), 0, first
    while chosen := list(islice(remaining, take)):
        take = window
        sizes = sizes_of(chosen)
        order = np.argsort(sizes, kind="stable")
        for start in range(0, len(chosen), size):
            rows = order[start : start + size].tolist()
            places = tuple(before + row for row in rows)
            yield Rows(places, tuple(chosen[row] for row in rows), sizes[rows])
        before += len(chosen)
