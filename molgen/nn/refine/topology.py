"""Index lists of a bond graph: angles, torsions and atoms with three neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.refine.graph import PackedGraph


@dataclass(frozen=True)
class Adjacency:
    """Neighbours of every atom, one after the other.

    Attributes:
        degree: Number of neighbours, ``[A]``.
        start: Where those of an atom begin, ``[A]``.
        neighbour: The neighbours, ``[2 E]``.
    """

    degree: Tensor
    start: Tensor
    neighbour: Tensor

    @classmethod
    def of(cls, graph: PackedGraph) -> Adjacency:
        """Neighbours in a graph."""
        n = len(graph.element)
        begin, end = torch.cat([graph.bonds, graph.bonds.flip(1)]).unbind(dim=1)
        degree = torch.bincount(begin, minlength=n)
        order = (begin * n + end).argsort()
        return cls(degree, degree.cumsum(0) - degree, end[order])

    def around(self, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """Every neighbour of every one of ``atoms``: their rows in it, and the neighbours."""
        row, within = grouped(self.degree[atoms])
        return row, self.neighbour[self.start[atoms[row]] + within]


def grouped(count: Tensor) -> tuple[Tensor, Tensor]:
    """Group and place within it of the members of groups of these sizes."""
    group = torch.arange(len(count), device=count.device).repeat_interleave(count)
    first = (count.cumsum(0) - count)[group]
    return group, torch.arange(len(group), device=count.device) - first


@dataclass(frozen=True)
class Topology:
    """What follows from the graph alone.

    Attributes:
        adjacency: Neighbours.
        angles: Paths of two bonds, ``[G, 3]``, the atom of smaller number first.
        restrained: Pairs of atoms one bond or two apart, ``[R, 2]``, each once, ascending.
        angle_pair: Restrained pair of every angle, ``[G]``.
        axes: Bonds with a torsion, ``[X, 2]``.
        torsions: Paths of three bonds along an axis, ``[T, 4]``.
        axis: Axis of every torsion, ``[T]``.
        impropers: Atoms with three neighbours, then these, ``[I, 4]``.
    """

    adjacency: Adjacency
    angles: Tensor
    restrained: Tensor
    angle_pair: Tensor
    axes: Tensor
    torsions: Tensor
    axis: Tensor
    impropers: Tensor

    @classmethod
    def of(cls, graph: PackedGraph) -> Topology:
        """Find angles, torsions and impropers; time and memory are linear in the atoms."""
        adjacency = Adjacency.of(graph)
        before, middle = graph.bonds.flip(1).flatten(), graph.bonds.flatten()
        row, after = adjacency.around(middle)
        angles = torch.stack([before[row], middle[row], after], dim=1)
        angles = angles[angles[:, 0] < angles[:, 2]]
        near = torch.cat([graph.bonds, angles[:, ::2]])
        restrained, pair = near.unique(dim=0, return_inverse=True)
        # Either end of a bond first, then the other.
        bond, start = adjacency.around(graph.bonds[:, 0])
        half = torch.cat([start[:, None], graph.bonds[bond]], dim=1)
        half, bond = _apart(half, bond, 0, 2)
        row, stop = adjacency.around(half[:, 2])
        torsions, bond = torch.cat([half[row], stop[:, None]], dim=1), bond[row]
        torsions, bond = _apart(torsions, bond, 1, 3)
        torsions, bond = _apart(torsions, bond, 0, 3)  # a ring of three
        used, axis = bond.unique(return_inverse=True)
        centre = (adjacency.degree == 3).nonzero().squeeze(1)
        _, around = adjacency.around(centre)
        return cls(
            adjacency=adjacency,
            angles=angles,
            restrained=restrained,
            angle_pair=pair[len(graph.bonds) :],
            axes=graph.bonds[used],
            torsions=torsions,
            axis=axis,
            impropers=torch.cat([centre[:, None], around.view(-1, 3)], dim=1),
        )


def _apart(paths: Tensor, bond: Tensor, one: int, other: int) -> tuple[Tensor, Tensor]:
    """Paths on which two places are different atoms, and their bonds."""
    keep = paths[:, one] != paths[:, other]
    return paths[keep], bond[keep]
