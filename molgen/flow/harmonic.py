"""Noise that knows the bonds: a Gaussian whose precision is the Laplacian of a graph.

Bonded points start near each other (Jing et al. 2023, arXiv 2304.02198: harmonic prior).
"""

from __future__ import annotations

import torch
from torch import Tensor


def harmonic_noise(normal: Tensor, adjacency: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Noise ``N(0, scale^2 L^+)`` without centre of mass, ``L`` the Laplacian of each graph.

    Args:
        normal: Standard normal, ``[B, N, 3]``.
        adjacency: Bonds of each graph, which is connected, ``[B, N, N]`` bool.
        mask: Real points, ``[B, N]`` bool, which come first.
        scale: Deviation along one coordinate of two points that a single bond holds together.
    """
    precision = _grounded_laplacian(adjacency, mask).to(torch.float64)
    factor = torch.linalg.cholesky(precision)
    drawn = torch.linalg.solve_triangular(
        factor.transpose(1, 2), normal.to(torch.float64), upper=True
    )
    return scale * centred(drawn.to(normal.dtype), mask)


def centred(pos: Tensor, mask: Tensor) -> Tensor:
    """Positions ``[B, N, 3]`` about the mean of the real points; zero elsewhere."""
    real = mask[..., None].to(pos.dtype)
    mean = (pos * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True).clamp_min(1)
    return (pos - mean) * real


def turned_onto(moved: Tensor, target: Tensor) -> Tensor:
    """Positions ``[B, N, 3]`` turned, never reflected, to be nearest to others (Kabsch 1976).

    Args:
        moved: Centred; zero where there is no point.
        target: Centred; zero where there is no point.
    """
    u, _, vh = torch.linalg.svd(moved.transpose(1, 2) @ target)
    sign = torch.linalg.det(u @ vh).sign()
    u = torch.cat([u[..., :2], u[..., 2:] * sign[:, None, None]], dim=-1)
    return moved @ (u @ vh)


def _grounded_laplacian(adjacency: Tensor, mask: Tensor) -> Tensor:
    """``L + 1 1^T / n``, the identity on points that are not there."""
    bonds = adjacency.to(torch.float64)
    both = (mask[:, :, None] & mask[:, None, :]).to(torch.float64)
    n_points = mask.sum(dim=1).clamp_min(1)[:, None, None]
    diagonal = torch.where(mask, bonds.sum(dim=2), 1.0)
    return torch.diag_embed(diagonal) - bonds + both / n_points
