from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.flow.harmonic import centred, harmonic_noise, turned_onto


def chain(n: int) -> torch.Tensor:
    near = torch.ones(n - 1, dtype=torch.bool)
    return torch.diag_embed(near, 1) | torch.diag_embed(near, -1)


def test_bonded_points_of_a_chain_lie_at_the_scale_and_others_farther() -> None:
    draw = torch.Generator().manual_seed(0)
    n = 20_000
    normal = torch.randn(n, 4, 3, generator=draw)
    mask = torch.ones(n, 4, dtype=torch.bool)
    noise = harmonic_noise(normal, chain(4).expand(n, -1, -1), mask, 1.6)
    steps = [(noise[:, k] - noise[:, 0]).square().mean().sqrt().item() for k in (1, 2, 3)]
    assert steps == pytest.approx([1.6, 1.6 * 2**0.5, 1.6 * 3**0.5], rel=0.02)
    assert noise.mean(dim=1).abs().max() < 1e-5


def test_padding_changes_no_noise() -> None:
    normal = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1))
    whole = harmonic_noise(normal, chain(5)[None], torch.ones(1, 5, dtype=torch.bool), 1.0)
    padded = torch.nn.functional.pad(normal, (0, 0, 0, 3))
    bonds = torch.nn.functional.pad(chain(5), (0, 3, 0, 3))[None]
    mask = torch.arange(8)[None] < 5
    wide = harmonic_noise(padded, bonds, mask, 1.0)
    torch.testing.assert_close(wide[:, :5], whole)
    assert not wide[:, 5:].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_points_are_turned_back_but_never_reflected(seed: int, reflect: bool) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.ones(3, 6, dtype=torch.bool)
    target = centred(torch.randn(3, 6, 3, generator=draw, dtype=torch.float64), mask)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, 3, generator=draw, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)[:, None, None]
    moved = target @ turn * (-1 if reflect else 1)
    back = turned_onto(moved, target)
    if reflect:
        assert (back - target).norm() > 1e-3
    else:
        torch.testing.assert_close(back, target, atol=1e-9, rtol=0)
