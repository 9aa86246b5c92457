"""Linear systems of many small molecules at once."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 16
"""Unknowns that are eliminated together."""


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite matrices, ``[B, N, N]``."""
    if matrix.device.type == "cpu":
        return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return by_elimination(matrix, unit.expand_as(matrix))


def by_elimination(matrix: Tensor, right: Tensor) -> Tensor:
    """Solutions by Gauss-Jordan elimination: a positive definite matrix needs no pivots for it.

    Libraries for GPUs factor one small matrix after the other and ask the host whether they could;
    this is a few products of the whole batch, which a CUDA graph can hold. `BLOCK` unknowns are
    eliminated together, so that the batch goes through memory that much less often.

    Args:
        matrix: Symmetric and positive definite, ``[B, N, N]``.
        right: Right-hand sides, ``[B, N, M]``.
    """
    n = matrix.shape[-1]
    unit = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    rest = torch.cat([matrix, right], dim=-1)
    for first in range(0, n, BLOCK):
        here = slice(first, min(first + BLOCK, n))
        # These rows become `rows`; the others lose their share of them.
        rows = _small_inverse(rest[:, here, here]) @ rest[:, here]
        rest = rest - (rest[:, :, here] - unit[:, here]) @ rows
    return rest[..., n:]


def _small_inverse(matrix: Tensor) -> Tensor:
    """Inverse, one unknown after the other."""
    n = matrix.shape[-1]
    unit = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    rest = torch.cat([matrix, unit.expand_as(matrix)], dim=-1)
    for k in range(n):
        row = rest[:, k] / rest[:, k, k, None]
        rest = rest - (rest[:, :, k] - unit[k])[..., None] * row[:, None]
    return rest[..., n:]
