"""Molecules of a run in batches of similar size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from molgen.sampling.batching import batched


def sizes_of(indices: Sequence[int]) -> np.ndarray:
    return np.array([index * 7 % 5 + 1 for index in indices])


some = st.integers(1, 9)


@given(st.lists(st.integers(0, 99), max_size=60), some, some, some)
def test_every_molecule_comes_once_in_its_place(
    indices: list[int], size: int, first: int, window: int
) -> None:
    rows = list(batched(indices, sizes_of, size, first=first, window=window))
    placed = {p: i for one in rows for p, i in zip(one.places, one.indices, strict=True)}
    assert placed == dict(enumerate(indices))
    assert sum(len(one.places) for one in rows) == len(indices)
    assert all(len(one.indices) <= size for one in rows)
    for one in rows:
        assert one.sizes.tolist() == sizes_of(one.indices).tolist()


@given(st.integers(1, 60), some, some)
def test_within_a_window_sizes_grow(n: int, size: int, window: int) -> None:
    rows = list(batched(range(n), sizes_of, size, first=window, window=window))
    for start in range(0, n, window):
        inside = [one for one in rows if start <= one.places[0] < start + window]
        sizes = np.concatenate([one.sizes for one in inside])
        assert (np.diff(sizes) >= 0).all()
        assert len(sizes) == min(window, n - start)


def test_no_more_numbers_are_asked_for_than_a_window_holds() -> None:
    numbers = count()
    rows = batched(numbers, sizes_of, 3, first=3, window=10)
    assert next(rows).places == tuple(np.argsort(sizes_of(range(3)), kind="stable"))
    assert next(numbers) == 3
    assert len(next(rows).indices) == 3
    assert next(numbers) == 14


def test_the_mask_tells_atoms_from_padding() -> None:
    (one,) = islice(batched([0, 1], sizes_of, 2, first=2, window=2), 1)
    assert one.sizes.tolist() == [1, 3]
    assert one.mask(4).tolist() == [[True, False, False, False], [True, True, True, False]]
