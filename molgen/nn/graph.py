"""A graph that is given, as input of the network: classes of atoms, of pairs, and stereo."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from molgen.nn.block import NetworkDims
from molgen.nn.stereo import StereoCentres, StereoEmbedding


@dataclass(frozen=True)
class GraphClasses:
    """How a graph is coded.

    Attributes:
        atom: Number of classes in each column of the atoms' features.
        pair: Number of classes of each feature of a pair; a code is their mixed radix.
    """

    atom: tuple[int, ...]
    pair: tuple[int, ...]


@dataclass(frozen=True)
class GraphInput:
    """Graphs of a batch, padded.

    Attributes:
        atoms: Classes by column, ``[B, N, C]`` int64.
        pairs: Codes of pairs, ``[B, N, N]`` int64, symmetric.
        centres: Labelled stereo centres.
    """

    atoms: Tensor
    pairs: Tensor
    centres: StereoCentres


class GraphEmbedding(nn.Module):
    """Embeds given graphs; a network without it is bit for bit what it was.

    Args:
        classes: How graphs are coded.
        dims: Sizes of the streams.
    """

    offsets: Tensor

    def __init__(self, classes: GraphClasses, dims: NetworkDims) -> None:
        super().__init__()
        self.classes = classes
        offsets = [0, *accumulate(classes.atom)][:-1]
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)
        self.atoms = nn.Embedding(sum(classes.atom), dims.scalar)
        self.pairs = nn.ParameterList(
            nn.Parameter(torch.randn(n, dims.pair_hidden) / len(classes.pair) ** 0.5)
            for n in classes.pair
        )
        self.stereo = StereoEmbedding(dims.scalar, dims.vector)
        nn.init.normal_(self.atoms.weight, std=len(classes.atom) ** -0.5)

    def of_atoms(self, graph: GraphInput) -> Tensor:
        """What is added to the atoms' scalars, ``[B, N, D]``."""
        return self.atoms(graph.atoms + self.offsets).sum(dim=2)

    def of_pairs(self, graph: GraphInput) -> Tensor:
        """What is added to the pairs' hidden features, ``[B, N, N, H]``."""
        return nn.functional.embedding(graph.pairs, self._pair_table())

    def _pair_table(self) -> Tensor:
        """Rows by code: the sum over a pair's features."""
        table = self.pairs[0]
        for one in list(self.pairs)[1:]:
            table = (table[:, None] + one).flatten(0, 1)
        return table
