"""Bounds on the distances of heavy atoms, from RDKit's distance geometry."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import rdBase
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.query import Query
from molgen.chem.graph_classes import MAX_PATH, PATH_PLACE

SIGMA: Final = MappingProxyType({1: 0.01, 2: 0.03})
"""Standard deviations of distances out of bounds, by the bonds between both atoms, Å."""

FAR: Final = 0.1
"""That of atoms farther apart, Å."""


@dataclass(frozen=True)
class Bounds:
    """Bounds on distances, symmetric.

    Attributes:
        lower: Å, ``[N, N]``.
        upper: Å, ``[N, N]``.
        stiffness: Inverse variances of distances out of bounds, Å⁻², ``[N, N]``; 0 on the diagonal.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    stiffness: NDArray[np.float64]


def bounds_of(asked: Query) -> Bounds:
    """The bounds of a molecule's heavy atoms; free where RDKit has none."""
    try:
        with rdBase.BlockLogs():
            matrix = rdDistGeom.GetMoleculeBoundsMatrix(asked.mol)
    except (ValueError, RuntimeError):
        n = len(asked.graph.index)
        return Bounds(np.zeros((n, n)), np.full((n, n), np.inf), np.zeros((n, n)))
    index = np.ix_(asked.graph.index, asked.graph.index)
    above, below = np.triu(matrix, 1), np.tril(matrix, -1)
    path = asked.graph.pairs // PATH_PLACE % (MAX_PATH + 1)
    sigma = np.full(path.shape, FAR)
    for n_bonds, value in SIGMA.items():
        sigma[path == n_bonds] = value
    stiffness = sigma**-2
    np.fill_diagonal(stiffness, 0)
    return Bounds((below + below.T)[index], (above + above.T)[index], stiffness)
