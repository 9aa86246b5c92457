"""Systems of small molecules are solved the same way on every device."""

from __future__ import annotations

import torch
from hypothesis import given, settings

from molgen.nn.linear import by_elimination, inverse

from ..networks import seeds, sizes  # noqa: TID252


@settings(max_examples=25)
@given(sizes, seeds)
def test_both_ways_lead_to_the_inverse(n_atoms: list[int], seed: int) -> None:
    n = 5 * max(n_atoms)  # some beyond one block
    some = torch.randn(3, n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix = some @ some.mT + torch.eye(n, dtype=torch.float64)
    unit = torch.eye(n, dtype=torch.float64).expand(3, n, n)
    for found in (inverse(matrix), by_elimination(matrix, unit)):
        torch.testing.assert_close(found @ matrix, unit)
