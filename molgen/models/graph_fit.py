"""Positions that suit a graph which was decoded after the network's last call.

The last call fits its positions to the graph that it names (`molgen.nn.graph_distances`). Where
that graph breaks a valence, a decoder finds another one, and the same layers say what distances
that one has. This is no call of the network: layers of 74 thousand weights, which see a graph and
positions and no noise, and only for the molecules that were decoded anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.models.denovo import DeNovo
from molgen.models.to_graph import fitted_to_graph
from molgen.nn.classes import Classes
from molgen.nn.graph_distances import GraphDistances, GraphShape

CERTAIN = 50.0
"""Logit of a class that is certain."""


@dataclass(frozen=True)
class GraphFit:
    """Fits positions to decoded graphs.

    Attributes:
        shape: Of the layers.
        weights: Of the layers, by name; arrays, so that other processes can be sent them.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of the network's coordinates.
        n_fits: Iterations of a fit.
    """

    shape: GraphShape
    weights: dict[str, NDArray[np.float32]]
    vocabulary: Vocabulary
    pos_scale: float
    n_fits: int

    @classmethod
    def of(cls, model: DeNovo, vocabulary: Vocabulary) -> GraphFit | None:
        """What a model knows of graphs; None where it knows nothing."""
        layers = model.network.graph_distances
        if layers is None:
            return None
        weights = {
            name: value.detach().float().cpu().numpy()
            for name, value in layers.state_dict().items()
        }
        n_fits = model.network.sizes.n_fits
        return cls(layers.shape, weights, vocabulary, model.scales.pos, n_fits)

    @torch.no_grad()
    def __call__(self, named: Sequence[Molecule], decoded: Sequence[Molecule]) -> list[Molecule]:
        """The decoded molecules, with other positions where they are other molecules.

        Args:
            named: What the network named, whose aromatic bonds stay so where the decoder only
                chose one of their Kekulé forms.
            decoded: What was made of it, with the same positions.
        """
        graphs = [_graph(*both) for both in zip(named, decoded, strict=True)]
        changed = [row for row, graph in enumerate(graphs) if graph is not None]
        molecules = list(decoded)
        if changed:
            chosen = [decoded[row] for row in changed]
            fitted = self._fitted(chosen, [graph for graph in graphs if graph is not None])
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
            element[row, :k] = _places(one.atomic_numbers, self.vocabulary.atomic_numbers)
            charge[row, :k] = _places(one.formal_charge, self.vocabulary.charges)
            bond[row, :k, :k] = matrix
            pos[row, :k] = (one.pos - centres[row]) / self.pos_scale
        classes = Classes(
            _certain(element, self.shape.n_elements),
            _certain(charge, self.shape.n_charges),
            _certain(bond, self.shape.n_bonds),
        )
        mask = torch.from_numpy(np.arange(n) < sizes[:, None])
        start = torch.from_numpy(pos)
        fitted, _ = fitted_to_graph(self._layers(), classes, start, mask, self.n_fits)
        there = fitted.numpy() * np.float32(self.pos_scale) + centres[:, None]
        return [there[row, :k] for row, k in enumerate(sizes)]

    def _layers(self) -> GraphDistances:
        with torch.random.fork_rng(devices=[]):  # weights that are all replaced
            layers = GraphDistances(self.shape)
        layers.load_state_dict({name: torch.from_numpy(x) for name, x in self.weights.items()})
        return layers


def _graph(named: Molecule, decoded: Molecule) -> NDArray[np.integer] | None:
    """Bond classes of a decoded molecule; None where they and its atoms are as they were named."""
    before, after = bond_matrix(named), bond_matrix(decoded)
    graph = np.where((before == AROMATIC) & (after > 0), AROMATIC, after)
    is_same = (
        np.array_equal(named.atomic_numbers, decoded.atomic_numbers)
        and np.array_equal(named.formal_charge, decoded.formal_charge)
        and np.array_equal(before, graph)
    )
    return None if is_same else graph


def _places(values: NDArray[np.integer], classes: Sequence[int]) -> NDArray[np.int64]:
    order = {value: place for place, value in enumerate(classes)}
    return np.array([order[int(value)] for value in values])


def _certain(classes: NDArray[np.int64], n_classes: int) -> Tensor:
    return CERTAIN * functional.one_hot(torch.from_numpy(classes), n_classes).float()
