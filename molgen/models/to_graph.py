"""Positions that have the distances of a graph."""

from __future__ import annotations

from torch import Tensor

from molgen.flow.process import center
from molgen.nn.classes import Classes
from molgen.nn.graph_distances import GraphBeliefs, GraphDistances

ROUNDS = 2
"""Fits, each from the positions of the one before."""


def fitted_to_graph(
    layers: GraphDistances, classes: Classes, pos: Tensor, mask: Tensor, n_fits: int
) -> tuple[Tensor, tuple[GraphBeliefs, ...]]:
    """Positions, ``[B, N, 3]``, that have the distances of a graph, and what was believed.

    From the positions of a first fit more is to be seen than from those before, so there are
    `ROUNDS` of them.

    Args:
        layers: What knows distances.
        classes: Logits of atoms and bonds.
        pos: Centred positions to start from, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
        n_fits: Iterations of each fit.
    """
    believed = []
    for _ in range(ROUNDS):
        beliefs = layers(classes, pos, mask)
        pos = center(beliefs.distances.fitted(pos, mask, n_fits), mask)
        believed.append(beliefs)
    return pos, tuple(believed)
