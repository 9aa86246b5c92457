"""Clusters of noise levels and learned weights."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.errors import UsageError
from molgen.flow.extra.training import cluster_intervals, conflict, scatter
from molgen.flow.weighting import IntervalWeights


def total(cost: np.ndarray, ends: tuple[int, ...]) -> float:
    return sum(cost[i, j - 1] for i, j in pairwise(ends))


@given(st.integers(0, 10_000), st.integers(1, 8), st.data())
def test_clusters_are_the_best_of_all(seed: int, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    cost = np.random.default_rng(seed).standard_normal((n, n))
    best = min(total(cost, (0, *cuts, n)) for cuts in combinations(range(1, n), k - 1))
    ends = cluster_intervals(list(range(n + 1)), cost, k)
    assert len(ends) == k + 1
    assert (ends[0], ends[-1]) == (0, n)
    assert total(cost, tuple(ends)) == pytest.approx(best)


@given(st.integers(0, 10_000))
def test_scatter_of_squared_distances_is_the_sum_of_squares_about_the_mean(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(7)
    cost = scatter((x[:, None] - x[None]) ** 2)
    for i in range(7):
        for j in range(i, 7):
            part = x[i : j + 1]
            assert cost[i, j] == pytest.approx(((part - part.mean()) ** 2).sum(), abs=1e-12)


def test_levels_that_agree_are_joined() -> None:
    affinity = np.full((6, 6), -0.5)
    affinity[:2, :2] = affinity[2:5, 2:5] = affinity[5:, 5:] = 0.9
    edges = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    assert cluster_intervals(edges, conflict(affinity), 3) == [-3.0, -1.0, 2.0, 3.0]


@pytest.mark.parametrize(("shape", "k"), [((3, 3), 4), ((3, 3), 0), ((2, 3), 1)])
def test_impossible_clusters_are_refused(shape: tuple[int, int], k: int) -> None:
    with pytest.raises(UsageError):
        cluster_intervals([0.0, 1.0, 2.0, 3.0], np.zeros(shape), k)


def test_weighted_loss_of_every_interval_tends_to_one() -> None:
    weights = IntervalWeights([-1.0, 0.0, 1.5])
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(weights.parameters(), lr=0.05)
    means = torch.tensor([30.0, 0.02, 1.0, 4.0])

    def losses() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        lam = torch.rand(256, generator=generator) * 5 - 2.5
        interval = torch.bucketize(lam, weights.edges.float())
        spread = torch.rand(256, generator=generator) + 0.5
        return lam, interval, means[interval] * spread

    for _ in range(400):
        lam, _, loss = losses()
        optimiser.zero_grad()
        weights(loss, lam).mean().backward()
        optimiser.step()
    torch.testing.assert_close(weights.log_variance.exp().detach(), means, rtol=0.15, atol=0)
    lam, interval, loss = losses()
    balanced = loss * torch.exp(-weights.log_variance.detach()[interval])
    for index in range(4):
        assert float(balanced[interval == index].mean()) == pytest.approx(1, abs=0.2)


def test_fresh_weights_change_nothing_and_levels_find_their_interval() -> None:
    weights = IntervalWeights([0.0])
    loss, lam = torch.tensor([2.0, 3.0]), torch.tensor([-5.0, 5.0])
    assert torch.equal(weights(loss, lam), loss)
    weights.log_variance.data = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(weights(loss, lam), torch.tensor([2.0, 3 / np.e + 1]).float())
    assert set(weights.state_dict()) == {"edges", "log_variance"}


def test_edges_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError):
        IntervalWeights([1.0, 1.0])
