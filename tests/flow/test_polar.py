"""Orthogonal factors of 3 by 3 matrices, whatever their rank, and random ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow.polar import (
    orthogonal_by_newton,
    orthogonal_by_svd,
    orthonormal_by_cross,
    orthonormal_by_qr,
)

seeds = st.integers(0, 10_000)
EYE = torch.eye(3, dtype=torch.float64)


def draw(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def with_values(seed: int, values: tuple[float, ...]) -> Tensor:
    """Matrices, half of them reflections, with given singular values."""
    u, v = orthonormal_by_qr(draw(seed, 64, 3, 3)).chunk(2)
    return u @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ v


def gain(turn: Tensor, matrix: Tensor) -> Tensor:
    return (turn * matrix).sum(dim=(1, 2))


@settings(max_examples=15)
@given(seeds)
def test_newton_agrees_with_the_singular_values(seed: int) -> None:
    matrix = with_values(seed, (3.0, 1.0, 0.1))
    torch.testing.assert_close(
        orthogonal_by_newton(matrix), orthogonal_by_svd(matrix), rtol=0, atol=1e-9
    )


@given(seeds)
def test_reflections_are_found(seed: int) -> None:
    matrix = with_values(seed, (2.0, 1.0, 0.5))
    found = orthogonal_by_newton(matrix)
    assert torch.equal(torch.linalg.det(found) > 0, torch.linalg.det(matrix) > 0)
    turns = orthonormal_by_qr(draw(seed, 32, 3, 3))
    torch.testing.assert_close(orthogonal_by_newton(turns), turns, rtol=0, atol=1e-9)


@settings(max_examples=25)
@given(
    seeds,
    st.sampled_from(
        [(1.0, 1.0, 1e-9), (1.0, 1e-6, 1e-12), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    ),
    st.floats(-30, 30),
)
def test_singular_matrices_have_a_factor_that_is_as_good(
    seed: int, values: tuple[float, ...], exponent: float
) -> None:
    matrix = with_values(seed, values) * 10**exponent
    found = orthogonal_by_newton(matrix)
    torch.testing.assert_close(found @ found.mT, EYE.expand_as(found), rtol=0, atol=1e-9)
    best = torch.full((32,), sum(values) * 10**exponent, dtype=torch.float64)
    torch.testing.assert_close(gain(found, matrix), best, rtol=2e-5, atol=0)


def test_exact_zeros_and_lines_are_no_trouble() -> None:
    line = torch.zeros(2, 3, 3)
    line[0, 0, 0] = 2.0
    found = orthogonal_by_newton(line)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found @ found.mT, torch.eye(3).expand(2, 3, 3), rtol=0, atol=1e-6)
    assert float(found[0, 0, 0]) == pytest.approx(1.0)


@given(seeds)
def test_cross_products_give_the_frames_of_qr(seed: int) -> None:
    gaussian = draw(seed, 64, 3, 3)
    found = orthonormal_by_cross(gaussian)
    torch.testing.assert_close(found @ found.mT, EYE.expand_as(found), rtol=0, atol=1e-12)
    torch.testing.assert_close(found, orthonormal_by_qr(gaussian), rtol=0, atol=1e-8)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_neither_waits_for_a_gpu() -> None:
    matrix = draw(0, 64, 3, 3).cuda()
    orthogonal_by_newton(matrix)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found, frames = orthogonal_by_newton(matrix), orthonormal_by_cross(matrix)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), orthogonal_by_svd(matrix.cpu()), rtol=0, atol=1e-9)
    torch.testing.assert_close(frames.cpu(), orthonormal_by_qr(matrix.cpu()), rtol=0, atol=1e-8)
