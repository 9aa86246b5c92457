"""Molecules of different sizes in one call: packed atoms, bonds as an index list, no padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.nn.classes import Classes


@dataclass(frozen=True)
class PackedGraph:
    """Bond graphs of ``M`` molecules with ``A`` atoms in all.

    Attributes:
        element: Element classes, ``[A]`` int64.
        charge: Formal-charge classes, ``[A]`` int64.
        bonds: Both atoms of every bond, ``[E, 2]`` int64, smaller number first, each bond once.
        order: Bond classes, ``[E]`` int64, 1 or more; class 0 is the absent bond.
        size: Atoms of every molecule, ``[M]`` int64; molecules follow one another.
    """

    element: Tensor
    charge: Tensor
    bonds: Tensor
    order: Tensor
    size: Tensor

    @classmethod
    def of_classes(cls, classes: Classes, mask: Tensor) -> PackedGraph:
        """Pack a padded batch by the most probable classes.

        Args:
            classes: Logits of atoms and bonds.
            mask: Real atoms, ``[B, N]`` bool; they come first in every row.
        """
        size = mask.sum(dim=1)
        bond = classes.bond.argmax(dim=-1).triu(1) * (mask[:, :, None] & mask[:, None, :])
        row, first, last = bond.nonzero(as_tuple=True)
        offset = (size.cumsum(0) - size)[row]
        return cls(
            element=classes.element.argmax(dim=-1)[mask],
            charge=classes.charge.argmax(dim=-1)[mask],
            bonds=torch.stack([first + offset, last + offset], dim=1),
            order=bond[row, first, last],
            size=size,
        )

    @property
    def molecule(self) -> Tensor:
        """Molecule of every atom, ``[A]``."""
        return torch.arange(len(self.size), device=self.size.device).repeat_interleave(self.size)


def centred(pos: Tensor, graph: PackedGraph) -> Tensor:
    """Positions ``[A, 3]`` with the mean of every molecule at the origin."""
    molecule = graph.molecule
    total = pos.new_zeros(len(graph.size), 3).index_add(0, molecule, pos)
    return pos - (total / graph.size[:, None])[molecule]
