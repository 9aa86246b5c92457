"""Positions that suit a graph which was decoded after the network's last call.

The last call brings the molecule that it names to rest (`molgen.models.at_rest`). Where that graph
breaks a valence, a decoder finds another one, and the same layers bring that one to rest. This is
no call of the network: layers of .23 million weights, which see a graph and positions and no noise,
and only for the molecules that were decoded anew.
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
from molgen.models.at_rest import at_rest
from molgen.models.denovo import DeNovo
from molgen.nn.classes import Classes
from molgen.nn.rest import RestLayers, RestShape

CERTAIN = 50.0
"""Logit of a class that is certain."""

ClassNumbers = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]
"""Classes of elements ``(n,)``, formal charges ``(n,)`` and bonds ``(n, n)``."""


@dataclass(frozen=True)
class Packed:
    """Layers as other processes can be sent them.

    Attributes:
        shape: Their sizes.
        weights: Their weights by name.
    """

    shape: RestShape
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def of(cls, layers: RestLayers) -> Packed:
        """Pack layers."""
        weights = {
            name: value.detach().float().cpu().numpy()
            for name, value in layers.state_dict().items()
        }
        return cls(layers.shape, weights)

    def layers(self) -> RestLayers:
        """The same layers."""
        with torch.random.fork_rng(devices=[]):  # weights that are all replaced
            layers = RestLayers(self.shape)
        layers.load_state_dict({name: torch.from_numpy(x) for name, x in self.weights.items()})
        return layers


@dataclass(frozen=True)
class GraphFit:
    """Fits positions to decoded graphs.

    Attributes:
        layers: What knows molecules at rest.
        vocabulary: Meaning of the classes.
        pos_scale: Å per unit of the network's coordinates.
    """

    layers: Packed
    vocabulary: Vocabulary
    pos_scale: float

    @classmethod
    def of(cls, model: DeNovo, vocabulary: Vocabulary) -> GraphFit | None:
        """What a model knows of molecules at rest; None where it knows nothing."""
        layers = model.network.rest
        return None if layers is None else cls(Packed.of(layers), vocabulary, model.scales.pos)

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
        around = [
            (one.pos - centre) / self.pos_scale
            for one, centre in zip(molecules, centres, strict=True)
        ]
        known = [
            classes_of(one, matrix, self.vocabulary)
            for one, matrix in zip(molecules, orders, strict=True)
        ]
        graphs = side_by_side(known, around, self.layers.shape)
        fitted = at_rest(self.layers.layers(), graphs.classes, graphs.pos, graphs.mask).numpy()
        scale = np.float32(self.pos_scale)
        return [scale * fitted[row, : len(pos)] + centres[row] for row, pos in enumerate(around)]


@dataclass(frozen=True)
class Graphs:
    """Molecules side by side, of which everything is certain.

    Attributes:
        classes: Logits of their atoms and bonds.
        pos: Where they are, ``[B, N, 3]``.
        mask: Real atoms, ``[B, N]`` bool.
    """

    classes: Classes
    pos: Tensor
    mask: Tensor


def side_by_side(
    graphs: Sequence[ClassNumbers], pos: Sequence[NDArray[np.floating]], shape: RestShape
) -> Graphs:
    """A batch of graphs, each with its positions, as layers see them.

    Args:
        graphs: Classes of every molecule.
        pos: Its positions, ``(n, 3)``, in units of the network's coordinates.
        shape: Numbers of classes.
    """
    sizes = np.array([len(one) for one in pos])
    n = int(sizes.max())
    there = np.zeros((len(sizes), n, 3), np.float32)
    element, charge = np.zeros((2, len(sizes), n), np.int64)
    bond = np.zeros((len(sizes), n, n), np.int64)
    for row, (one, where, k) in enumerate(zip(graphs, pos, sizes, strict=True)):
        element[row, :k], charge[row, :k], bond[row, :k, :k] = one
        there[row, :k] = where
    classes = Classes(
        _certain(element, shape.n_elements),
        _certain(charge, shape.n_charges),
        _certain(bond, shape.n_bonds),
    )
    mask = torch.from_numpy(np.arange(n) < sizes[:, None])
    return Graphs(classes, torch.from_numpy(there), mask)


def classes_of(
    molecule: Molecule, bonds: NDArray[np.integer], vocabulary: Vocabulary
) -> ClassNumbers:
    """Elements, formal charges and bonds as a model numbers them."""
    return (
        places(molecule.atomic_numbers, vocabulary.atomic_numbers),
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


def _certain(classes: NDArray[np.int64], n_classes: int) -> Tensor:
    return CERTAIN * functional.one_hot(torch.from_numpy(classes), n_classes).float()
