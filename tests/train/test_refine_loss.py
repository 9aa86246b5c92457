"""The loss of restraints is least at the minimum."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.impropers import Impropers
from molgen.nn.refine.pair_list import PairList
from molgen.nn.refine.restraints import Restraints, distances
from molgen.nn.refine.topology import Topology
from molgen.train.refine_loss import DOUBTFUL, refine_loss

from ..networks import refining_model  # noqa: TID252


def chains(bonds: list[tuple[int, int]], n: int) -> tuple[PackedGraph, Tensor]:
    """Two molecules of these bonds, with positions."""
    one = torch.tensor(bonds)
    zeros = torch.zeros(2 * n, dtype=torch.long)
    both = torch.cat([one, one + n])
    order = torch.ones(len(both), dtype=torch.long)
    graph = PackedGraph(zeros, zeros, both, order, torch.tensor([n, n]))
    generator = torch.Generator().manual_seed(8)
    along = torch.arange(float(n), dtype=torch.float64)
    helix = torch.stack([along.cos(), along.sin(), along / 2], dim=-1).repeat(2, 1)
    return graph, helix + 0.1 * torch.randn(helix.shape, generator=generator, dtype=torch.float64)


def said_of(graph: PackedGraph, pos: Tensor) -> tuple[Restraints, Topology]:
    net, topology = refining_model(torch.float64).network.refine, Topology.of(graph)
    assert net is not None
    with torch.no_grad():
        return net(graph, topology, PairList.of(graph, topology, pos), pos), topology


def test_turns_and_lengths() -> None:
    graph, pos = chains([(k, k + 1) for k in range(5)], 6)
    said, topology = said_of(graph, pos)
    assert len(topology.axes) == 6
    still, sure = torch.zeros_like(said.turn), torch.full_like(said.turn, -2.0)

    def loss(name: str, **changes: Tensor) -> Tensor:
        return refine_loss(replace(said, **changes), graph, topology, pos, pos)[name]

    least = torch.full((2,), -2.0).double()
    torch.testing.assert_close(loss("turn", turn=still, log_turn=sure), least)
    off = least + 0.3 * math.exp(2.0)
    torch.testing.assert_close(loss("turn", turn=still + 0.3, log_turn=sure), off)
    torch.testing.assert_close(loss("turn", turn=still + 2 * math.pi, log_turn=sure), least)
    found = distances(pos, topology.restrained)
    unsure = torch.full_like(found, 0.0)
    torch.testing.assert_close(loss("rule", rule=found, log_rule=unsure), 0 * least)
    torch.testing.assert_close(loss("rule", rule=found + 1, log_rule=unsure), 0 * least + 0.5)
    tail = DOUBTFUL * (10 - DOUBTFUL / 2)
    torch.testing.assert_close(loss("rule", rule=found + 10, log_rule=unsure), 0 * least + tail)
    assert pytest.approx(3.0) == DOUBTFUL
    assert bool((loss("length", length=found) < loss("length", length=found + 0.5)).all())


def test_rises() -> None:
    graph, pos = chains([(0, 1), (0, 2), (0, 3)], 4)
    said, topology = said_of(graph, pos)
    target = pos.clone()
    target[[0, 4]] += 0.2
    rise = Impropers.of(target, topology).height - Impropers.of(pos, topology).height
    right = refine_loss(replace(said, rise=rise), graph, topology, pos, target)["rise"]
    torch.testing.assert_close(right, said.log_rise)
    off = refine_loss(replace(said, rise=rise + 0.2), graph, topology, pos, target)["rise"]
    assert bool((off > right).all())
    # There is no axis, and so no turn to be wrong about.
    assert refine_loss(said, graph, topology, pos, target)["turn"].tolist() == [0.0, 0.0]
