"""Generators: one stream per molecule and purpose, whatever else is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.rng import generator

words = st.integers(min_value=0, max_value=2**64 - 1)


@given(seed=words, index=words, stream=st.text(max_size=8))
def test_the_same_arguments_give_the_same_numbers(seed: int, index: int, stream: str) -> None:
    first = generator(seed, index, stream).standard_normal(5)
    generator(seed, index ^ 1, stream).standard_normal(17)
    assert np.array_equal(first, generator(seed, index, stream).standard_normal(5))


@given(seed=words, index=words)
def test_every_argument_changes_the_numbers(seed: int, index: int) -> None:
    base = generator(seed, index, "a").integers(0, 2**63, size=4)
    for other in (
        generator(seed ^ 1, index, "a"),
        generator(seed, index ^ 1, "a"),
        generator(seed, index, "b"),
        generator(index ^ 1, seed, "a"),
    ):
        assert not np.array_equal(base, other.integers(0, 2**63, size=4))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, 0, ""), [0.7649029235020619, -0.6170859946140222, -1.1683855497489612]),
        ((0, 0, "noise"), [-2.525424175580892, 0.2632074249616987, -1.2599324927780673]),
        ((1, 0, "noise"), [0.03160550801771875, -0.15308193955818597, -0.0445483758043709]),
        ((2**63, 5, "size"), [-0.567952696940788, -0.4286645622712333, 0.2535189925562646]),
    ],
)
def test_golden_values(arguments: tuple[int, int, str], expected: list[float]) -> None:
    assert generator(*arguments).standard_normal(3) == pytest.approx(expected, abs=1e-12)


def test_neighbouring_molecules_are_uncorrelated() -> None:
    n, width = 400, 64
    draws = np.stack([generator(0, index, "noise").standard_normal(width) for index in range(n)])
    correlation = np.corrcoef(draws)[np.triu_indices(n, k=1)]
    # Independent rows: mean 0, standard deviation 1/sqrt(width) over ~80,000 pairs.
    assert abs(correlation.mean()) < 4 / np.sqrt(len(correlation) * width)
    assert correlation.std() == pytest.approx(1 / np.sqrt(width), rel=0.05)
    assert draws.mean() == pytest.approx(0, abs=4 / np.sqrt(n * width))
    assert draws.std() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_out_of_range_is_a_usage_error(seed: int, index: int) -> None:
    with pytest.raises(UsageError, match="integer from 0"):
        generator(seed, index)
