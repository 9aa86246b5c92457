"""Random numbers of many molecules are those that each one's generator gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.rng import generator
from molgen.sampling.noise import Streams, draw_sizes, normal_noise

numbers = st.integers(0, 2**64 - 1)


@settings(max_examples=20)
@given(numbers, st.lists(numbers, min_size=1, max_size=5), st.text(max_size=9))
def test_every_stream_is_its_generator_from_the_beginning(
    seed: int, indices: list[int], purpose: str
) -> None:
    streams = Streams(seed, purpose)
    for index in [*indices, *indices]:
        drawn, own = streams.at(index), generator(seed, index, purpose)
        # An odd number of 32-bit words leaves half a word over for the next to trip on.
        for one, other in ((drawn, own),):
            assert np.array_equal(one.standard_normal(7), other.standard_normal(7))
            assert one.integers(9, dtype=np.uint32) == other.integers(9, dtype=np.uint32)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=20)
def test_sizes_are_those_of_one_at_a_time(seed: int, weights: list[float]) -> None:
    probability = np.array(weights) + 1e-3
    probability /= probability.sum()
    indices = range(20)
    expected = [
        int(generator(seed, index, "size").choice(len(probability), p=probability))
        for index in indices
    ]
    assert draw_sizes(probability, seed, indices).tolist() == expected


def test_noise_is_each_molecules_own_and_padding_is_zero() -> None:
    sizes, batch = np.array([3, 5, 1]), (9, 2**40, 0)
    noise = normal_noise(Streams(4, "noise"), batch, sizes, (6, 8))
    assert noise.dtype == torch.float32
    assert noise.shape == (3, 6, 8)
    for row, (index, n) in enumerate(zip(batch, sizes.tolist(), strict=True)):
        own = generator(4, index, "noise").standard_normal((n, 8)).astype(np.float32)
        assert np.array_equal(noise[row, :n].numpy(), own)
        assert not noise[row, n:].any()


@pytest.mark.parametrize("index", [-1, 2**64])
def test_numbers_out_of_range(index: int) -> None:
    with pytest.raises(UsageError, match="index"):
        Streams(0, "noise").at(index)


def test_seeds_out_of_range() -> None:
    with pytest.raises(UsageError, match="seed"):
        Streams(-1, "noise")
