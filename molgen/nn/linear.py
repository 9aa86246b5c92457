"""Linear systems of many small molecules at once."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of symmetric positive definite matrices, ``[B, N, N]``."""
    if matrix.device.type == "cpu":
        return torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return by_elimination(matrix, unit.expand_as(matrix))


def solution(matrix: Tensor, right: Tensor) -> Tensor:
    """Solutions of positive definite systems, ``[B, N, N]`` and ``[B, N]``: ``[B, N]``."""
    columns = right[..., None]
    if matrix.device.type == "cpu":
        return torch.cholesky_solve(columns, torch.linalg.cholesky(matrix)).squeeze(-1)
    return by_elimination(matrix, columns).squeeze(-1)


def by_elimination(matrix: Tensor, right: Tensor) -> Tensor:
    """Solutions by Gauss-Jordan elimination: a positive definite matrix needs no pivots for it.

    Libraries for GPUs factor one small matrix after the other and ask the host whether they could;
    this is N rank-one updates of the whole batch, which a CUDA graph can hold.

    Args:
        matrix: Symmetric and positive definite, ``[B, N, N]``.
        right: Right-hand sides, ``[B, N, M]``.
    """
    n = matrix.shape[-1]
    unit = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    rest = torch.cat([matrix, right], dim=-1)
    for k in range(n):
        row = rest[:, k] / rest[:, k, k, None]
        # The k-th row becomes `row`; the others lose their share of it.
        rest = rest - (rest[:, :, k] - unit[k])[..., None] * row[:, None]
    return rest[..., n:]
