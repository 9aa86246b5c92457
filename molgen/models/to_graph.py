"""Positions that suit a graph."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from molgen.flow.process import center
from molgen.nn.classes import Classes
from molgen.nn.graph_distances import GraphBeliefs, GraphDistances
from molgen.nn.torsions import Torsions, Turns

ROUNDS = 2
"""Fits to the distances of a graph, each from the positions of the one before."""

TURNED = 4
"""Times that bonds are turned about after that."""

STRIDES = 3
"""Iterations of every turn."""


@dataclass(frozen=True)
class GraphLayers:
    """What knows the shapes of graphs.

    Attributes:
        distances: Knows lengths and angles.
        torsions: Knows torsions; None leaves them as they are.
        n_fits: Iterations of a fit to distances.
    """

    distances: GraphDistances
    torsions: Torsions | None
    n_fits: int


@dataclass(frozen=True)
class Fitted:
    """Positions that suit a graph.

    Attributes:
        pos: Centred, ``[B, N, 3]``.
        believed: What was said of distances before every fit.
        turns: What was said of turns before every turning.
    """

    pos: Tensor
    believed: tuple[GraphBeliefs, ...]
    turns: tuple[Turns, ...]


def fitted_to_graph(layers: GraphLayers, classes: Classes, pos: Tensor, mask: Tensor) -> Fitted:
    """Positions that have the distances of a graph and the torsions of a molecule at rest.

    From the positions of a first fit more is to be seen than from those before, so there are
    `ROUNDS` of them, and so with turns.

    Args:
        layers: What knows the shapes of graphs.
        classes: Logits of atoms and bonds.
        pos: Centred positions to start from, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
    """
    believed: list[GraphBeliefs] = []
    turns: list[Turns] = []

    def fitted(pos: Tensor) -> Tensor:
        believed.append(layers.distances(classes, pos, mask))
        return center(believed[-1].distances.fitted(pos, mask, layers.n_fits), mask)

    for _ in range(ROUNDS):
        pos = fitted(pos)
    if layers.torsions is not None:
        for _ in range(TURNED):
            turns.append(layers.torsions(classes, pos, mask))
            pos = center(turns[-1].applied(pos, mask, STRIDES), mask)
        # Large turns leave lengths behind.
        pos = fitted(pos)
    return Fitted(pos, tuple(believed), tuple(turns))
