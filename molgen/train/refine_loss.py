"""The loss of restraints against a molecule that a force field relaxed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.impropers import Impropers
from molgen.nn.refine.restraints import Restraints, distances
from molgen.nn.refine.topology import Topology
from molgen.nn.refine.torsions import Torsions, by_axis, wrapped

DOUBTFUL = 3.0
"""Standard deviations from which on an error of a distance counts linearly."""


def refine_loss(
    said: Restraints, graph: PackedGraph, topology: Topology, pos: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """Negative log-likelihoods of a minimum, by name, ``[M]`` each.

    ``length`` is that of all rules and positions together, ``rule`` of the rules alone, or there
    would be no gradient for a rule that is not believed in yet. Turns and rises are Laplace's,
    whose tails leave room for bonds that turn over a barrier. A turn is the mean, on the circle,
    of the changes of all torsions around a bond.

    Args:
        said: Restraints.
        graph: Molecules.
        topology: Of them.
        pos: Positions that the restraints were predicted from, ``[A, 3]``.
        target: Positions of the minimum, ``[A, 3]``.
    """
    wanted = distances(target, topology.restrained)
    by_rule = _unlikely(said.rule, said.log_rule, wanted)
    together = _unlikely(said.length, -said.stiffness.log() / 2, wanted)
    there, here = Torsions.of(target, topology), Torsions.of(pos, topology)
    weight, change = here.weight * there.weight, there.angle - here.angle
    waves = torch.stack([change.sin() * weight, change.cos() * weight, weight], dim=-1)
    sine, cosine, total = by_axis(waves, topology).unbind(dim=-1)
    turn = torch.atan2(sine, torch.where(total > 0, cosine, 1.0))
    turn = _laplace(wrapped(turn - said.turn), said.log_turn)
    rise = Impropers.of(target, topology).height - Impropers.of(pos, topology).height
    rise = _laplace(rise - said.rise, said.log_rise)
    pair = graph.molecule[topology.restrained[:, 0]]
    axis, improper = (graph.molecule[x[:, 0]] for x in (topology.axes, topology.impropers))
    n, one = len(graph.size), torch.ones_like
    return {
        "length": _mean(together, one(together), pair, n),
        "rule": _mean(by_rule, one(by_rule), pair, n),
        "turn": _mean(turn, (total > 0).to(turn.dtype), axis, n),
        "rise": _mean(rise, one(rise), improper, n),
    }


def _mean(values: Tensor, weight: Tensor, molecule: Tensor, n: int) -> Tensor:
    """Weighted means over molecules, ``[n]``; 0 where there is nothing."""
    sums = torch.stack([values * weight, weight], dim=1)
    total, count = values.new_zeros(n, 2).index_add(0, molecule, sums).unbind(dim=1)
    return total / count.clamp_min(1)


def _laplace(wrong: Tensor, log_spread: Tensor) -> Tensor:
    return wrong.abs() * (-log_spread).exp() + log_spread


def _unlikely(mean: Tensor, log_spread: Tensor, wanted: Tensor) -> Tensor:
    """Of every distance, with linear tails."""
    wrong = (mean - wanted) * (-log_spread).exp()
    tails = functional.huber_loss(wrong, torch.zeros_like(wrong), reduction="none", delta=DOUBTFUL)
    return tails + log_spread
