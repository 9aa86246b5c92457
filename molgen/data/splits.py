"""The fixed split of QM9, a function of a molecule's own number and of nothing else."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SPLITS: Final = ("train", "val", "test")
"""Names of the parts; a part's position is its code in the store."""

N_QM9: Final = 133_885
"""Molecules in QM9 as published, numbered from 1, the uncharacterised included."""

SEED: Final = 20140805  # the date of publication of QM9
TEST_FRACTION: Final = 0.10
VAL_FRACTION: Final = 0.05

RULE: Final = (
    f"numpy Generator(PCG64({SEED})).permutation({N_QM9}) of the source numbers minus 1: "
    "the first 10 % are test, the next 5 % val, the rest train"
)


def qm9_split(source_index: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Split code of each molecule: 0 train, 1 val, 2 test.

    The permutation covers all of QM9, so the split of a molecule depends neither on the source
    it was read from nor on which molecules are left out.

    Args:
        source_index: QM9's own numbers, 1 to 133,885, any shape.

    Returns:
        Codes in the shape of `source_index`.
    """
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(N_QM9)
    n_test, n_val = round(TEST_FRACTION * N_QM9), round(VAL_FRACTION * N_QM9)
    codes = np.zeros(N_QM9, dtype=np.uint8)
    codes[order[:n_test]] = SPLITS.index("test")
    codes[order[n_test : n_test + n_val]] = SPLITS.index("val")
    chosen: NDArray[np.uint8] = codes[np.asarray(source_index) - 1]
    return chosen


def sizes(split_code: NDArray[np.uint8]) -> dict[str, int]:
    """Number of molecules in each part, by its name."""
    counts = np.bincount(split_code, minlength=len(SPLITS)).tolist()
    return dict(zip(SPLITS, counts, strict=True))
