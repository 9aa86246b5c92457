"""Noise levels as several tasks: clusters of levels, and weights learned for each.

Denoising at different levels are tasks that can hinder one another (Go et al. 2023, arXiv
2306.00354). Levels that agree are joined, and each cluster is weighted by its uncertainty, as
EDM2 does with a function of the level (Karras et al. 2023, arXiv 2312.02696).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from molgen.errors import UsageError


class IntervalWeights(nn.Module):
    """Learned log-variance ``u`` of the loss per interval: ``loss / exp(u) + u``.

    At its minimum ``exp(u)`` is the mean loss of the interval, so that every interval contributes
    1 and none drowns the others. Optimise the parameters with the network's, without weight
    decay; they are not needed for sampling.

    Args:
        edges: Increasing half-log-SNR between the intervals; one interval more than edges.

    Raises:
        UsageError: The edges do not increase.
    """

    edges: Tensor

    def __init__(self, edges: Sequence[float]) -> None:
        super().__init__()
        if not all(low < high for low, high in pairwise(edges)):
            raise UsageError("the edges of noise intervals do not increase", "Sort them")
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float64))
        self.log_variance = nn.Parameter(torch.zeros(len(edges) + 1))

    def forward(self, loss: Tensor, lam: Tensor) -> Tensor:
        """Balanced loss.

        Args:
            loss: Loss per sample, shape ``[B]``.
            lam: Half-log-SNR of each sample, shape ``[B]``.

        Returns:
            What to average and minimise, shape ``[B]``.
        """
        u = self.log_variance[torch.bucketize(lam.to(torch.float64), self.edges)]
        return loss * torch.exp(-u) + u


def cluster_intervals(lam_edges: Sequence[float], cost: NDArray[np.float64], k: int) -> list[float]:
    """Join neighbouring noise intervals into ``k`` clusters at the least total cost.

    The interval clustering of Go et al. 2023, solved exactly by dynamic programming in
    ``O(k n^2)``.

    Args:
        lam_edges: Increasing half-log-SNR, the ``n + 1`` ends of ``n`` intervals.
        cost: Cost ``[n, n]`` of a cluster from interval ``i`` to ``j >= i``, both included; the
            rest is not read. See ``scatter`` and ``conflict``.
        k: Number of clusters, 1 to ``n``.

    Returns:
        The ``k + 1`` ends of the clusters, a part of ``lam_edges``.

    Raises:
        UsageError: Shapes that do not fit, or more clusters than intervals.
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
    """Cost of clusters by their spread: pairwise distances, summed and divided by the size.

    For squared distances this is the sum of squares about the cluster's mean. With the distance
    of half-log-SNR it is the SNR-based clustering of Go et al. 2023 up to the norm.

    Args:
        distance: Symmetric ``[n, n]``.

    Returns:
        ``cost`` for ``cluster_intervals``.
    """
    n = len(distance)
    size = np.arange(n)[None] - np.arange(n)[:, None] + 1
    return _within(distance) / np.maximum(size, 1)


def conflict(affinity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost of clusters by the gradients that they bring together.

    Args:
        affinity: Symmetric ``[n, n]``, such as the cosine of the gradients of two intervals.

    Returns:
        ``scatter`` of ``1 - affinity``, ``cost`` for ``cluster_intervals``.
    """
    return scatter(1 - affinity)


def _within(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over all pairs of intervals ``i`` to ``j``, ``[n, n]``; each pair counts once."""
    upper = np.triu(distance, 1)
    # Pairs (p, q) with i <= p < q <= j: cumulate p downwards from j and q upwards from i.
    return np.cumsum(np.cumsum(upper[::-1], axis=0)[::-1], axis=1)
