"""Pairs of atoms that the network sees: those along three bonds, and the nearest ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.topology import Adjacency, Topology

NEAREST = 28
"""Nearest atoms that an atom sees: all others in molecules of up to 29 atoms."""

FADE = 0.8
"""Share of the distance of the first atom that is not seen, from which on weights fall to zero."""


@dataclass(frozen=True)
class PairList:
    """Pairs of a packed batch, each once.

    Attributes:
        first: Atom of smaller number, ``[P]``.
        last: The other, ``[P]``.
        weight: 1 for pairs along up to three bonds and for near ones, 0 at the end of the list of
            neighbours, ``[P]``; a continuous function of the positions.
        bonds: Where the bonds of the graph stand, ``[E]``.
        restrained: Where the restrained pairs of the topology stand, ``[R]``.
        axes: Where the axes of the torsions stand, ``[X]``.
        one_three: Where the first and third, and the second and fourth atom of every torsion
            stand, ``[2, T]``.
        one_four: Where its ends stand, ``[T]``.
        spokes: Where the bonds of every improper stand, ``[I, 3]``.
        sides: Where its pairs of neighbours stand, ``[I, 3]``.
        paths: Pair, bond at one of its ends and pair from there to the other end, ``[3, K]``.
    """

    first: Tensor
    last: Tensor
    weight: Tensor
    bonds: Tensor
    restrained: Tensor
    axes: Tensor
    one_three: Tensor
    one_four: Tensor
    spokes: Tensor
    sides: Tensor
    paths: Tensor

    @classmethod
    def of(cls, graph: PackedGraph, topology: Topology, pos: Tensor) -> PairList:
        """List the pairs of molecules at ``pos``, ``[A, 3]``."""
        n = len(graph.element)
        linked = torch.cat([topology.restrained, topology.torsions[:, ::3]])
        nearest, fading = _nearest(graph, pos)
        pairs = torch.cat([linked, nearest])
        weight = torch.cat([fading.new_ones(len(linked)), fading])
        key, place = _key(pairs[:, 0], pairs[:, 1], n).unique(return_inverse=True)
        weight = weight.new_zeros(len(key)).scatter_reduce(0, place, weight, "amax")

        def where(one: Tensor, other: Tensor) -> Tensor:
            return torch.searchsorted(key, _key(one, other, n))

        start, second, third, stop = topology.torsions.T
        centre, around = topology.impropers[:, :1], topology.impropers[:, 1:]
        first, last = key // n, key % n
        return cls(
            first=first,
            last=last,
            weight=weight,
            bonds=where(*graph.bonds.T),
            restrained=where(*topology.restrained.T),
            axes=where(*topology.axes.T),
            one_three=torch.stack([where(start, third), where(second, stop)]),
            one_four=where(start, stop),
            spokes=where(centre, around),
            sides=where(around, around.roll(-1, dims=1)),
            paths=_paths(key, first, last, topology.adjacency),
        )


def _paths(key: Tensor, first: Tensor, last: Tensor, adjacency: Adjacency) -> Tensor:
    begin, end = torch.cat([first, last]), torch.cat([last, first])
    row, middle = adjacency.around(begin)
    here, there = begin[row], end[row]
    n = len(adjacency.degree)
    wanted = _key(middle, there, n)
    rest = torch.searchsorted(key, wanted).clamp_max(len(key) - 1)
    keep = (middle != there) & (key[rest] == wanted)
    side = torch.searchsorted(key, _key(here, middle, n))
    return torch.stack([row % len(key), side, rest])[:, keep]


def _key(one: Tensor, other: Tensor, n: int) -> Tensor:
    return torch.minimum(one, other) * n + torch.maximum(one, other)


def _nearest(graph: PackedGraph, pos: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of each atom with its nearest ones, and their weights.

    The search compares all pairs of one molecule; everything after it is linear.
    """
    first, last, weight = [], [], []
    offset = 0
    for size in graph.size.tolist():
        here = pos[offset : offset + size]
        if size > NEAREST + 1:
            distance, place = torch.cdist(here, here).topk(NEAREST + 2, largest=False)
            share = distance[:, 1:-1] / distance[:, -1:]
            atom = torch.arange(size, device=pos.device)[:, None].expand_as(share)
            first.append(atom.flatten() + offset)
            last.append(place[:, 1:-1].flatten() + offset)
            weight.append(faded(share, 1.0, FADE).flatten())
        else:
            one, other = torch.triu_indices(size, size, 1, device=pos.device)
            first.append(one + offset)
            last.append(other + offset)
            weight.append(pos.new_ones(len(one)))
        offset += size
    return torch.stack([torch.cat(first), torch.cat(last)], dim=1), torch.cat(weight)


def faded(value: Tensor, zero: float, one: float) -> Tensor:
    """0 at ``zero``, 1 at ``one``, with a continuous slope between."""
    t = ((value - zero) / (one - zero)).clamp(0, 1)
    return t * t * (3 - 2 * t)
