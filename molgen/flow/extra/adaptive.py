"""Adaptive times per row: rows of which the network is sure run ahead and finish early.

After NeoDiff's intrinsic times per token (Li et al. 2025, arXiv 2505.22165), as a sampler: no
time predictor is trained; how sure the network is comes from its own answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.process import exact_step

RowDenoiser = Callable[[Tensor, Tensor], Tensor]
"""``denoise(x, lam) -> x0`` with one half-log-SNR per row: ``[B, N, F]``, ``[B, N]``."""

Confidence = Callable[[Tensor, Tensor | None], Tensor]
"""``confidence(x0, previous x0 or None)`` in [0, 1] for every row, ``[B, N]``."""


@dataclass(frozen=True)
class Adaptive:
    """State at the end of a run.

    Attributes:
        x: Clean state, ``[B, N, F]``.
        calls: Network calls that were made, at most the grid's steps.
        finished_at: Call after which every row was clean, int64, ``[B, N]``.
    """

    x: Tensor
    calls: int
    finished_at: Tensor


def settled(scale: float) -> Confidence:
    """Confidence ``exp(-change / scale)`` by the root mean square change since the last call."""

    def confidence(x0: Tensor, previous: Tensor | None) -> Tensor:
        if previous is None:
            return x0.new_zeros(x0.shape[:2])
        change = (x0 - previous).square().mean(dim=-1).sqrt()
        return torch.exp(-change / scale)

    return confidence


def adaptive_ddim(
    denoise: RowDenoiser, x: Tensor, grid: TimeGrid, confidence: Confidence, reach: int = 2
) -> Adaptive:
    """First-order exact steps in which a row may skip up to ``reach`` levels of the grid.

    Args:
        denoise: The network, with one level per row.
        x: Start at the grid's first level, unit total variance, ``[B, N, F]``.
        grid: Levels; a row follows them at its own pace.
        confidence: How sure a row is.
        reach: Levels, 0 or more, that a row of confidence 1 skips beyond the usual one.
    """
    if reach < 0:
        raise UsageError(f"reach is {reach}", "Give 0 or more levels to skip")
    levels = torch.tensor(grid.lam, dtype=torch.float64)
    place = torch.zeros(x.shape[:2], dtype=torch.int64)
    finished_at = torch.zeros_like(place)
    previous: Tensor | None = None
    calls = 0
    while bool((place < grid.n_steps).any()):
        lam = levels[place]
        x0 = denoise(x, lam)
        sure = confidence(x0, previous).to(torch.float64).cpu()
        ahead = 1 + torch.floor(reach * sure + 0.5).to(torch.int64)
        arrived = (place + ahead).clamp_max(grid.n_steps)
        x = exact_step(x, x0, lam, levels[arrived])
        calls += 1
        finished_at = torch.where((arrived == grid.n_steps) & (place < arrived), calls, finished_at)
        place, previous = arrived, x0
    return Adaptive(x, calls, finished_at)
