"""Positions of a molecule at rest, from its graph and from positions near it."""

from __future__ import annotations

from torch import Tensor

from molgen.flow.process import center
from molgen.nn.classes import Classes
from molgen.nn.rest import RestLayers
from molgen.nn.settling import settled

ROUNDS = 8
"""Times that the layers are asked: from where they led, more is to be seen than from before."""

STRIDES = 2
"""Iterations after each."""


def at_rest(
    layers: RestLayers, classes: Classes, pos: Tensor, mask: Tensor, n_rounds: int = ROUNDS
) -> Tensor:
    """Centred positions that have the lengths, angles and torsions of a molecule at rest.

    Args:
        layers: What knows molecules at rest.
        classes: Logits of atoms and bonds.
        pos: Positions to start from, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
        n_rounds: Times that the layers are asked.
    """
    if mask.shape[1] < 2:
        return center(pos, mask)  # an atom by itself
    for _ in range(n_rounds):
        pos = center(settled(pos, layers(classes, pos, mask).wanted, mask, STRIDES), mask)
    return pos
