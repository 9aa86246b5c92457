"""The refiner's loss: a conformer against the minimum of a force field next to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from molgen.config.conformers import RefinerConfig
from molgen.data.conformer_batches import GraphBatch
from molgen.flow.harmonic import turned_onto
from molgen.tasks.conformers import distance

TERMS = ("pos", "local", "shape")

BLUNT = 0.1
"""Errors of an atom below this are squared, those above count linearly, Å: where a minimisation
may end in either of two minima, the refiner is to choose one of them, not their mean."""

HUBER = {"local": 0.03, "shape": 0.5}
"""Errors of a distance from which on they count linearly, Å."""


def loss_terms(
    estimate: Tensor, target: Tensor, graph: GraphBatch, config: RefinerConfig
) -> dict[str, Tensor]:
    """Loss terms of every molecule, ``[B]`` each, not yet weighed against each other.

    ``pos`` is the mean error of atoms in Å, ``local`` and ``shape`` are Huber losses on distances
    within and beyond ``reach`` bonds; in ``shape``, close pairs count more.

    Args:
        estimate: Å, ``[B, N, 3]``.
        target: Minima, turned onto where the refiner began, Å, ``[B, N, 3]``.
        graph: The molecules.
        config: What is local.
    """
    squared = (estimate - target).square().sum(dim=-1)
    error = ((squared + BLUNT**2).sqrt() - BLUNT) * graph.mask
    is_pair = (graph.mask[:, :, None] & graph.mask[:, None, :]).triu(1)
    is_local = is_pair & (graph.paths > 0) & (graph.paths <= config.reach)
    terms = {"pos": error.sum(dim=1) / graph.mask.sum(dim=1)}
    for name, pairs in (("local", is_local), ("shape", is_pair & ~is_local)):
        row, i, j = torch.nonzero(pairs, as_tuple=True)
        said, true = distance(estimate, row, i, j), distance(target, row, i, j)
        wrong = functional.huber_loss(said, true, reduction="none", delta=HUBER[name]) / HUBER[name]
        weight = torch.ones_like(true) if name == "local" else 1 / (1 + true)
        zero = torch.zeros_like(terms["pos"])
        total = zero.index_add(0, row, wrong * weight)
        terms[name] = total / zero.index_add(0, row, weight).clamp_min(1e-6)
    return terms


def rmsd(pos: Tensor, target: Tensor, graph: GraphBatch) -> Tensor:
    """RMSD of conformers after superposition, atoms as numbered, Å, ``[B]``."""
    squared = (turned_onto(pos, target) - target).square().sum(dim=(1, 2))
    return (squared / graph.mask.sum(dim=1)).sqrt()
