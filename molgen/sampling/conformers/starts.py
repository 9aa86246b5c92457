"""Where conformers start: at noise, at embeddings of ETKDGv3, or at geometries of the input.

From noise, the sampler makes a conformer and the refiner moves it. From a geometry, all calls are
the refiner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.conformers.placing import embedded_pos
from molgen.chem.conformers.query import Query
from molgen.sampling.conformers.request import ConformerRequest


@dataclass(frozen=True)
class Starts:
    """Where the conformers of one molecule start.

    Attributes:
        n: Conformers to draw.
        pos: Heavy atoms of geometries, Å, ``[S, N, 3]``.
        every: Every so many-th conformer starts at the next geometry, the others at noise.
        is_given: Whether the geometry is the input's, which stays where nothing better comes.
    """

    n: int
    pos: NDArray[np.floating]
    every: int = 1
    is_given: bool = False

    def geometry(self, number: int) -> NDArray[np.floating] | None:
        """Where a conformer starts, Å, ``[N, 3]``; None for noise."""
        place, rest = divmod(number, self.every)
        return self.pos[place] if not rest and place < len(self.pos) else None


def starts_of(asked: Query, request: ConformerRequest) -> Starts:
    """The starts of one molecule."""
    return _STARTS[request.start](asked, request)


def _at_noise(asked: Query, request: ConformerRequest) -> Starts:
    return Starts(request.n_draws, np.zeros((0, len(asked.graph.index), 3)))


def _embedded(asked: Query, request: ConformerRequest) -> Starts:
    found = embedded_pos(asked, request.n_draws, request.seed)
    return Starts(request.n_draws, found[:, asked.graph.index])


def _mixed(asked: Query, request: ConformerRequest) -> Starts:
    """Half at embeddings: what one half does not find, the other may."""
    found = embedded_pos(asked, -(-request.n_draws // 2), request.seed)
    return Starts(request.n_draws, found[:, asked.graph.index], every=2)


def _at_input(asked: Query, _: ConformerRequest) -> Starts:
    return Starts(len(asked.given_pos), asked.given_pos, is_given=True)


_STARTS: Final[Mapping[str, Callable[[Query, ConformerRequest], Starts]]] = MappingProxyType(
    {"noise": _at_noise, "etkdg": _embedded, "mixed": _mixed, "input": _at_input}
)
"""Of each `ConformerRequest.start`."""
