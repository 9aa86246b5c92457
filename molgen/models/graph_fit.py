"""Positions that suit a graph which was decoded after the network's last call.

The last call refines the molecule that it names (`molgen.nn.refine`). Where that graph breaks a
valence, a decoder finds another one, and the same layers refine that one. This is no call of the
network: .23 million weights, which see a graph and positions and no noise, and only for the
molecules that were decoded anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from molgen.chem.atom_classes import element_classes
from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.models.denovo import DeNovo
from molgen.nn.refine.graph import PackedGraph
from molgen.nn.refine.refine import refine
from molgen.nn.refine.restraints import RefineDims, RestraintNet

ClassNumbers = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]
"""Classes of elements ``(n,)``, formal charges ``(n,)`` and bonds ``(n, n)``."""


@dataclass(frozen=True)
class GraphFit:
    """Fits positions to decoded graphs; other processes can be sent it.

    Attributes:
        dims: Sizes of the network that refines.
        weights: Its weights by name.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of the network's coordinates.
    """

    dims: RefineDims
    weights: dict[str, NDArray[np.float32]]
    vocabulary: Vocabulary
    pos_scale: float

    @classmethod
    def of(cls, model: DeNovo, vocabulary: Vocabulary) -> GraphFit | None:
        """What refines the molecules of a model; None where nothing does."""
        net = model.network.refine
        if net is None:
            return None
        weights = {
            name: value.detach().float().cpu().numpy() for name, value in net.state_dict().items()
        }
        return cls(net.dims, weights, vocabulary, model.scales.pos)

    @property
    def net(self) -> RestraintNet:
        """The network that refines."""
        with torch.random.fork_rng(devices=[]):  # weights that are all replaced
            net = RestraintNet(self.dims)
        net.load_state_dict({name: torch.from_numpy(x) for name, x in self.weights.items()})
        return net

    @torch.no_grad()
    def __call__(self, named: Sequence[Molecule], decoded: Sequence[Molecule]) -> list[Molecule]:
        """The decoded molecules, with other positions where they are other molecules.

        Args:
            named: What the network named, whose aromatic bonds stay so where the decoder only
                chose one of their Kekulé forms.
            decoded: What was made of it, with the same positions.
        """
        graphs = [graph_of(*both) for both in zip(named, decoded, strict=True)]
        changed = [
            row
            for row, (before, after) in enumerate(zip(named, decoded, strict=True))
            if not _is_named(before, after, graphs[row])
        ]
        molecules = list(decoded)
        if changed:
            chosen = [decoded[row] for row in changed]
            fitted = self._fitted(chosen, [graphs[row] for row in changed])
            for row, pos in zip(changed, fitted, strict=True):
                molecules[row] = replace(decoded[row], pos=pos)
        return molecules

    def _fitted(
        self, molecules: Sequence[Molecule], orders: Sequence[NDArray[np.integer]]
    ) -> list[NDArray[np.float32]]:
        centres = [one.pos.mean(axis=0) for one in molecules]
        graph = packed(
            [
                classes_of(one, matrix, self.vocabulary)
                for one, matrix in zip(molecules, orders, strict=True)
            ]
        )
        pos = np.concatenate([one.pos - x for one, x in zip(molecules, centres, strict=True)])
        fitted = self.pos_scale * refine(self.net, graph, torch.from_numpy(pos) / self.pos_scale)
        parts = fitted.split(graph.size.tolist())
        return [part.numpy() + centre for part, centre in zip(parts, centres, strict=True)]


def packed(molecules: Sequence[ClassNumbers]) -> PackedGraph:
    """Molecules of these classes in one graph."""
    element, charge, bond = zip(*molecules, strict=True)
    sizes = np.array([len(one) for one in element])
    bonds, order = [], []
    for matrix, offset in zip(bond, np.cumsum(sizes) - sizes, strict=True):
        ends = np.argwhere(np.triu(matrix, 1))
        bonds.append(ends + offset)
        order.append(matrix[tuple(ends.T)].astype(np.int64))
    parts = (np.concatenate(part) for part in (element, charge, bonds, order))
    return PackedGraph(*map(torch.from_numpy, (*parts, sizes)))


def classes_of(
    molecule: Molecule, bonds: NDArray[np.integer], vocabulary: Vocabulary
) -> ClassNumbers:
    """Elements, formal charges and bonds as a model numbers them."""
    return (
        element_classes(vocabulary, molecule.atomic_numbers, molecule.hydrogens),
        places(molecule.formal_charge, vocabulary.charges),
        bonds,
    )


def graph_of(named: Molecule, decoded: Molecule) -> NDArray[np.integer]:
    """Bond classes of a decoded molecule, ``[n, n]``, aromatic where they were named so.

    Args:
        named: What a network named.
        decoded: What was made of it.
    """
    before, after = bond_matrix(named), bond_matrix(decoded)
    return np.where((before == AROMATIC) & (after > 0), AROMATIC, after)


def _is_named(named: Molecule, decoded: Molecule, graph: NDArray[np.integer]) -> bool:
    """Whether a decoder left what was named."""
    return (
        np.array_equal(named.atomic_numbers, decoded.atomic_numbers)
        and np.array_equal(named.formal_charge, decoded.formal_charge)
        and np.array_equal(bond_matrix(named), graph)
    )


def places(values: NDArray[np.integer], classes: Sequence[int]) -> NDArray[np.int64]:
    """Classes of atoms by the values that they stand for."""
    order = {value: place for place, value in enumerate(classes)}
    return np.array([order[int(value)] for value in values])
