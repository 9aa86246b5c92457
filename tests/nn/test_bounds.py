"""Positions within bounds: kept where they are right, mended where not; equivariant."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.nn.bounds import within_bounds


def chain(seed: int, dtype: torch.dtype, n: int = 6) -> tuple[torch.Tensor, ...]:
    """A zigzag of bonds of 1.5, too short by random shares, with bounds on bonds and angles."""
    generator = torch.Generator().manual_seed(seed)
    step = torch.tensor([[1.2, 0.9, 0.0], [1.2, -0.9, 0.0]]).repeat(n, 1)[:n]
    true = step.cumsum(dim=0)[None].to(dtype)
    shrunk = true * 0.8 + 0.1 * torch.randn(1, n, 3, generator=generator).to(dtype)
    distance = torch.cdist(true, true)
    path = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    stiffness = torch.where(path == 1, 1e4, torch.where(path == 2, 1e3, 0.0)).to(dtype)[None]
    stiffness = stiffness * (path > 0)
    return shrunk, distance - 0.01, distance + 0.01, stiffness


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bonds_and_angles_come_within_their_bounds(dtype: torch.dtype) -> None:
    for seed in range(20):
        pos, lower, upper, stiffness = chain(seed, dtype)
        distance = torch.cdist(*[within_bounds(pos, lower, upper, stiffness)] * 2)
        off = (distance.clamp(lower, upper) - distance).abs() * (stiffness > 0)
        before = torch.cdist(pos, pos)
        assert float(((before.clamp(lower, upper) - before).abs() * (stiffness > 0)).max()) > 0.1
        assert float(off.max()) < 0.02


def test_what_is_within_bounds_stays() -> None:
    pos, lower, upper, stiffness = chain(0, torch.float64)
    there = within_bounds(pos, lower, upper, stiffness, steps=50)
    wide = (lower - 0.1, upper + 0.1, stiffness)
    torch.testing.assert_close(within_bounds(there, *wide), there, rtol=0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), double=st.booleans())
def test_it_turns_with_the_molecule_and_does_not_see_padding(seed: int, double: bool) -> None:
    dtype = torch.float64 if double else torch.float32
    pos, lower, upper, stiffness = chain(seed, dtype)
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    once = within_bounds(pos, lower, upper, stiffness)
    turned = within_bounds(pos @ turn.to(dtype), lower, upper, stiffness)
    tolerance = 1e-9 if double else 1e-4
    torch.testing.assert_close(turned, once @ turn.to(dtype), rtol=0, atol=tolerance)
    wide = [torch.nn.functional.pad(x, (0, 2, 0, 2)) for x in (lower, upper, stiffness)]
    padded = within_bounds(torch.nn.functional.pad(pos, (0, 0, 0, 2)), *wide)
    torch.testing.assert_close(padded[:, :6], once, rtol=0, atol=tolerance)
    assert float(padded[:, 6:].abs().max()) == 0
