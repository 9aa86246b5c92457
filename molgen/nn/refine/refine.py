"""Refinement of molecules: positions near the given ones at a learnt force field's minimum."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from molgen.nn.classes import Classes
from molgen.nn.refine.graph import PackedGraph, centred
from molgen.nn.refine.pair_list import PairList
from molgen.nn.refine.restraints import RestraintNet
from molgen.nn.refine.solve import System, solve
from molgen.nn.refine.topology import Topology

ROUNDS = 6
"""Times that the network is asked: restraints from better positions are better."""

STEPS = 2
"""Steps of Gauss and Newton after each."""

AHEAD = 1.4
"""Factor of the moves between the first and the last: what comes slowly comes sooner."""

FARTHEST = 3.0
"""Units of the network's coordinates that an atom moves at most in the first round."""

SHRINK = 0.7
"""Share of that in every next round: what does not settle would go anywhere, and a rounding error
in its input anywhere else."""


@torch.no_grad()
def refine(net: RestraintNet, graph: PackedGraph, pos: Tensor, n_rounds: int = ROUNDS) -> Tensor:
    """Centred positions with the lengths, angles and torsions of a minimum.

    Args:
        net: Predicts restraints.
        graph: Molecules.
        pos: Positions to start from, ``[A, 3]``.
        n_rounds: Times that the network is asked.
    """
    # Straight angles and molecules that do not settle make much of a rounding error.
    exact = deepcopy(net).double()
    topology = Topology.of(graph)
    here = centred(pos.double(), graph)
    pairs = PairList.of(graph, topology, here)
    system = System.of(graph, topology)
    for k in range(n_rounds):
        restraints = exact(graph, topology, pairs, here)
        move = centred(solve(here, restraints, topology, system, STEPS) - here, graph)
        ahead = AHEAD if 0 < k < n_rounds - 1 else 1.0
        here = here + _bounded(ahead * move, graph, FARTHEST * SHRINK**k)
    return here.to(pos.dtype)


def _bounded(move: Tensor, graph: PackedGraph, farthest: float) -> Tensor:
    """The move, scaled down where an atom of a molecule goes farther."""
    size = move.norm(dim=-1)
    most = size.new_zeros(len(graph.size)).scatter_reduce(0, graph.molecule, size, "amax")
    return move * (farthest / most.clamp_min(farthest))[graph.molecule][:, None]


def refined(net: RestraintNet, classes: Classes, pos: Tensor, mask: Tensor) -> Tensor:
    """Refined positions of padded molecules, ``[B, N, 3]``; padding is at the origin.

    Args:
        net: Predicts restraints.
        classes: Logits of atoms and bonds, of which the most probable ones count.
        pos: Positions to start from, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool; they come first in every row.
    """
    found = torch.zeros_like(pos)
    found[mask] = refine(net, PackedGraph.of_classes(classes, mask), pos[mask])
    return found
