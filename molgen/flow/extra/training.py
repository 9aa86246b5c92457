"""Training: clusters of noise levels, stages of a curriculum, losses of masked tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from molgen.errors import UsageError


def cluster_intervals(lam_edges: Sequence[float], cost: NDArray[np.float64], k: int) -> list[float]:
    """Join neighbouring noise intervals into ``k`` clusters at the least total cost.

    The interval clustering of Go et al. 2023 (arXiv 2306.00354), exactly, by dynamic programming.

    Args:
        lam_edges: Increasing half-log-SNR, the ``n + 1`` ends of ``n`` intervals.
        cost: Cost ``[n, n]`` of a cluster from interval ``i`` to ``j >= i``, both included; see
            ``scatter`` and ``conflict``.
        k: Number of clusters, 1 to ``n``.

    Returns:
        The ``k + 1`` ends of the clusters, a part of ``lam_edges``.
    """
    n = len(lam_edges) - 1
    if cost.shape != (n, n):
        raise UsageError(f"costs of shape {cost.shape} for {n} intervals", f"Give [{n}, {n}]")
    if not 1 <= k <= n:
        raise UsageError(f"{k} clusters of {n} noise intervals", f"Ask for 1 to {n}")
    best = cost[0].astype(np.float64)  # best[j]: least cost of intervals 0 to j
    starts = []
    for count in range(1, k):
        # Row i is the choice of i as first interval of the last cluster.
        total = np.full((n, n), np.inf)
        for i in range(count, n):
            total[i, i:] = best[i - 1] + cost[i, i:]
        starts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    ends, last = [n], n - 1
    for start in reversed(starts):
        ends.append(int(start[last]))
        last = ends[-1] - 1
    return [lam_edges[end] for end in (0, *reversed(ends))]


def scatter(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost of clusters by their spread: symmetric pairwise distances, summed, over the size.

    For squared distances this is the sum of squares about the cluster's mean. With the distance
    of half-log-SNR it is the SNR-based clustering of Go et al. 2023 up to the norm.
    """
    n = len(distance)
    size = np.arange(n)[None] - np.arange(n)[:, None] + 1
    upper = np.triu(distance, 1)
    # Pairs (p, q) with i <= p < q <= j: cumulate p downwards from j and q upwards from i.
    within = np.cumsum(np.cumsum(upper[::-1], axis=0)[::-1], axis=1)
    return within / np.maximum(size, 1)


def conflict(affinity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost of clusters by the gradients that they bring together: ``scatter`` of 1 - cosines."""
    return scatter(1 - affinity)


@dataclass(frozen=True)
class Plateau:
    """Progress of a `molgen.flow.Curriculum` that moves on when the loss no longer falls.

    A stage ends after ``patience`` observations without a relative fall of the loss by ``gain``.
    """

    n_stages: int
    patience: int = 5
    gain: float = 0.01
    stage: int = 0
    best: float = math.inf
    waited: int = 0

    @property
    def progress(self) -> float:
        """What ``Curriculum.at`` takes."""
        return self.stage / self.n_stages

    def observe(self, loss: float) -> Plateau:
        """The state after one more loss, averaged over as many steps as the caller likes."""
        if loss < self.best * (1 - self.gain):
            return replace(self, best=loss, waited=0)
        if self.waited + 1 < self.patience:
            return replace(self, waited=self.waited + 1)
        # The next stage has other levels and another loss.
        stage = min(self.stage + 1, self.n_stages - 1)
        return replace(self, stage=stage, best=math.inf, waited=0)


def mask_ratio_loss(loss: Tensor, masked: Tensor, real: Tensor | None = None) -> Tensor:
    """Mean loss over the masked tokens of each sample (SDAR-VL, 2025), ``[B]``.

    Dividing by the realised number of masked tokens instead of the expected one takes its scatter
    out of the loss. Losses, bool masked and bool real tokens are ``[B, N]``; 0 for a sample
    without a masked token.
    """
    counted = masked if real is None else masked & real
    return (loss * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def expected_ratio_loss(loss: Tensor, masked: Tensor, ratio: Tensor) -> Tensor:
    """The usual estimate, scaled by the masking probability ``[B]`` of every sample."""
    return (loss * masked).mean(dim=1) / ratio
