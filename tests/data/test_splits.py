from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from molgen.config.dataset import Dataset, HashedSplit, load_dataset
from molgen.data.splits import SPLITS, sizes, split_codes
from molgen.errors import DataError

QM9 = load_dataset("qm9")
N_QM9 = 133_885


def qm9_split(numbers: NDArray[np.integer]) -> NDArray[np.uint8]:
    return split_codes(QM9, numbers, [])


EVERY = qm9_split(np.arange(1, N_QM9 + 1))


def test_sizes_are_the_documented_ones() -> None:
    assert sizes(EVERY) == {"train": 113_803, "val": 6_694, "test": 13_388}


def test_the_split_of_qm9_never_changes() -> None:
    assert (np.flatnonzero(SPLITS.index("test") == EVERY)[:4] + 1).tolist() == [1, 5, 11, 20]
    assert (np.flatnonzero(SPLITS.index("val") == EVERY)[:4] + 1).tolist() == [48, 114, 115, 119]


@given(st.lists(st.integers(1, N_QM9)))
def test_a_molecule_keeps_its_split_in_any_company(numbers: list[int]) -> None:
    chosen = np.array(numbers, dtype=np.int64)
    assert np.array_equal(qm9_split(chosen), EVERY[chosen - 1])


def test_a_number_outside_is_an_error() -> None:
    with pytest.raises(DataError, match="molecule 133886"):
        qm9_split(np.array([5, N_QM9 + 1]))


def hashed(names: Sequence[str]) -> NDArray[np.uint8]:
    split = HashedSplit(test=0.2, val=0.1)
    return split_codes(Dataset(name="x", atomic_numbers=(6,), split=split), np.zeros(0), names)


def test_a_hashed_split_has_its_shares_and_keeps_a_compound_in_one_part() -> None:
    names = ["C" * k + "O" for k in range(3000)]
    codes = hashed(names)
    shares = np.bincount(codes, minlength=3) / len(codes)
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.03)
    assert np.array_equal(hashed(names[::-1]), codes[::-1])
    assert hashed(["CCO", "CCO"]).tolist()[0] == hashed(["CCO"]).tolist()[0]
