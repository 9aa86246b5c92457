from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from molgen.data.splits import N_QM9, SPLITS, qm9_split, sizes

EVERY = qm9_split(np.arange(1, N_QM9 + 1))


def test_sizes_are_the_documented_ones() -> None:
    assert sizes(EVERY) == {"train": 113_803, "val": 6_694, "test": 13_388}


def test_the_split_never_changes() -> None:
    assert (np.flatnonzero(SPLITS.index("test") == EVERY)[:4] + 1).tolist() == [1, 5, 11, 20]
    assert (np.flatnonzero(SPLITS.index("val") == EVERY)[:4] + 1).tolist() == [48, 114, 115, 119]


@given(st.lists(st.integers(1, N_QM9)))
def test_a_molecule_keeps_its_split_in_any_company(numbers: list[int]) -> None:
    chosen = np.array(numbers, dtype=np.int32)
    assert np.array_equal(qm9_split(chosen), EVERY[chosen - 1])
