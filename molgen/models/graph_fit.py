"""Positions that suit a graph which was decoded after the network's last call.

The last call fits its positions to the graph that it names (`molgen.models.to_graph`). Where that
graph breaks a valence, a decoder finds another one, and the same layers say what distances and
torsions that one has. This is no call of the network: layers of 0.3 million weights, which see a
graph and positions and no noise, and only for the molecules that were decoded anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.models.denovo import DeNovo
from molgen.models.to_graph import GraphLayers, fitted_to_graph
from molgen.nn.classes import Classes
from molgen.nn.graph_distances import GraphDistances, GraphShape
from molgen.nn.torsions import Torsions

CERTAIN = 50.0
"""Logit of a class that is certain."""


AnyLayers = TypeVar("AnyLayers", GraphDistances, Torsions)


@dataclass(frozen=True)
class Packed(Generic[AnyLayers]):
    """Layers as other processes can be sent them.

    Attributes:
        kind: Class of the layers.
        shape: Their sizes.
        weights: Their weights by name.
    """

    kind: type[AnyLayers]
    shape: GraphShape
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def of(cls, layers: AnyLayers) -> Packed[AnyLayers]:
        """Pack layers."""
        weights = {
            name: value.detach().float().cpu().numpy()
            for name, value in layers.state_dict().items()
        }
        return cls(type(layers), layers.shape, weights)

    def layers(self) -> AnyLayers:
        """The same layers."""
        with torch.random.fork_rng(devices=[]):  # weights that are all replaced
            layers = self.kind(self.shape)
        layers.load_state_dict({name: torch.from_numpy(x) for name, x in self.weights.items()})
        return layers


@dataclass(frozen=True)
class GraphFit:
    """Fits positions to decoded graphs.

    Attributes:
        distances: Layers that know lengths and angles.
        torsions: Layers that know torsions; None leaves them.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of the network's coordinates.
        n_fits: Iterations of a fit.
    """

    distances: Packed[GraphDistances]
    torsions: Packed[Torsions] | None
    vocabulary: Vocabulary
    pos_scale: float
    n_fits: int

    @classmethod
    def of(cls, model: DeNovo, vocabulary: Vocabulary) -> GraphFit | None:
        """What a model knows of graphs; None where it knows nothing."""
        layers = model.graph_layers
        if layers is None:
            return None
        return cls(
            distances=Packed.of(layers.distances),
            torsions=None if layers.torsions is None else Packed.of(layers.torsions),
            vocabulary=vocabulary,
            pos_scale=model.scales.pos,
            n_fits=layers.n_fits,
        )

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
        sizes = np.array([one.n_atoms for one in molecules])
        n = int(sizes.max())
        element = np.zeros((len(sizes), n), np.int64)
        charge, bond = element.copy(), np.zeros((len(sizes), n, n), np.int64)
        pos = np.zeros((len(sizes), n, 3), np.float32)
        centres = np.array([one.pos.mean(axis=0) for one in molecules], np.float32)
        for row, (one, matrix, k) in enumerate(zip(molecules, orders, sizes, strict=True)):
            element[row, :k] = places(one.atomic_numbers, self.vocabulary.atomic_numbers)
            charge[row, :k] = places(one.formal_charge, self.vocabulary.charges)
            bond[row, :k, :k] = matrix
            pos[row, :k] = (one.pos - centres[row]) / self.pos_scale
        shape = self.distances.shape
        classes = Classes(
            _certain(element, shape.n_elements),
            _certain(charge, shape.n_charges),
            _certain(bond, shape.n_bonds),
        )
        mask = torch.from_numpy(np.arange(n) < sizes[:, None])
        start = torch.from_numpy(pos)
        layers = GraphLayers(
            distances=self.distances.layers(),
            torsions=None if self.torsions is None else self.torsions.layers(),
            n_fits=self.n_fits,
        )
        fitted = fitted_to_graph(layers, classes, start, mask)
        there = fitted.pos.numpy() * np.float32(self.pos_scale) + centres[:, None]
        return [there[row, :k] for row, k in enumerate(sizes)]


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


def _certain(classes: NDArray[np.int64], n_classes: int) -> Tensor:
    return CERTAIN * functional.one_hot(torch.from_numpy(classes), n_classes).float()
