"""Pairs, each once."""

from __future__ import annotations

import pytest
import torch

from molgen.nn.triangle import Triangle

sizes = pytest.mark.parametrize("n", [1, 2, 3, 7])
CPU = torch.device("cpu")


def random_square(n: int) -> torch.Tensor:
    square = torch.randn(2, n, n, 3, generator=torch.Generator().manual_seed(n))
    square = square + square.transpose(1, 2)
    return square * ~torch.eye(n, dtype=torch.bool)[..., None]


@sizes
def test_there_and_back(n: int) -> None:
    triangle, square = Triangle.of(n, CPU), random_square(n)
    packed = triangle.packed(square)
    assert packed.shape == (2, n * (n - 1) // 2, 3)
    assert torch.equal(triangle.square(packed), square)


@sizes
def test_sums_over_the_pairs_of_an_atom(n: int) -> None:
    triangle, square = Triangle.of(n, CPU), random_square(n)
    weight = random_square(n)[..., 0]
    summed = triangle.incidence(triangle.packed(weight)) @ triangle.packed(square)
    torch.testing.assert_close(summed, (weight[..., None] * square).sum(dim=2))


@sizes
def test_both_ends_of_a_pair(n: int) -> None:
    triangle = Triangle.of(n, CPU)
    ends = torch.randn(2, n, 4, generator=torch.Generator().manual_seed(n))
    added = triangle.square(triangle.added(ends))
    apart = ~torch.eye(n, dtype=torch.bool)[..., None]
    torch.testing.assert_close(added, (ends[:, :, None] + ends[:, None]) * apart)


def test_a_pair_stands_in_one_place_from_either_end() -> None:
    triangle = Triangle.of(6, CPU)
    one, other = triangle.first, triangle.last
    assert torch.equal(triangle.between(one, other), torch.arange(15))
    assert torch.equal(triangle.between(other, one), torch.arange(15))
