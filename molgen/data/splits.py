"""The parts of a data set: which molecules train, which validate, which test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.config.dataset import Dataset, NumberedSplit
from molgen.errors import DataError

SPLITS: Final = ("train", "val", "test")
"""Names of the parts; a part's position is its code in the store."""


def split_codes(
    dataset: Dataset, source_index: NDArray[np.integer[Any]], compounds: Sequence[str]
) -> NDArray[np.uint8]:
    """Split code of each molecule: 0 train, 1 val, 2 test.

    The part of a molecule depends neither on the source it was read from nor on which molecules
    are left out.

    Args:
        dataset: Its rule.
        source_index: The source's own numbers, ``[M]``.
        compounds: SMILES without stereo, ``[M]``.

    Raises:
        DataError: A number is none that the rule knows.
    """
    rule = dataset.split
    if isinstance(rule, NumberedSplit):
        return _numbered(rule, np.asarray(source_index, np.int64))
    shares = np.array([_share(smiles) for smiles in compounds])
    codes = np.zeros(len(compounds), np.uint8)
    codes[shares < rule.test + rule.val] = SPLITS.index("val")
    codes[shares < rule.test] = SPLITS.index("test")
    return codes


def rule_of(dataset: Dataset) -> str:
    """The rule in one sentence, for the manifest."""
    rule = dataset.split
    shares = f"the first {rule.test:.0%} are test, the next {rule.val:.0%} val, the rest train"
    if isinstance(rule, NumberedSplit):
        permutation = f"numpy Generator(PCG64({rule.seed})).permutation({rule.n})"
        return f"{permutation} of the source numbers minus 1: {shares}"
    return f"BLAKE2b of the SMILES without stereo, as a share of 2**64: {shares}"


def sizes(split_code: NDArray[np.uint8]) -> dict[str, int]:
    """Number of molecules in each part, by its name."""
    counts = np.bincount(split_code, minlength=len(SPLITS)).tolist()
    return dict(zip(SPLITS, counts, strict=True))


def _numbered(rule: NumberedSplit, source_index: NDArray[np.int64]) -> NDArray[np.uint8]:
    outside = source_index[(source_index < 1) | (source_index > rule.n)]
    if len(outside):
        raise DataError(
            f"molecule {outside[0]} is none of the {rule.n} that the split knows",
            "Use a split of kind hashed",
        )
    order = np.random.Generator(np.random.PCG64(rule.seed)).permutation(rule.n)
    n_test, n_val = round(rule.test * rule.n), round(rule.val * rule.n)
    codes = np.zeros(rule.n, dtype=np.uint8)
    codes[order[:n_test]] = SPLITS.index("test")
    codes[order[n_test : n_test + n_val]] = SPLITS.index("val")
    chosen: NDArray[np.uint8] = codes[source_index - 1]
    return chosen


def _share(smiles: str) -> float:
    """A number from 0 to 1 that only the SMILES decides."""
    digest = hashlib.blake2b(smiles.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
