"""What is known of molecules before they are made: a composition, or atoms that stay in place.

`rows` lays it out for a batch, `roads` tells the network of it, and `informed` keeps it so in
everything that a solver gets to see.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """What is known of one molecule: its first k atoms.

    Attributes:
        element: Element classes of the model's vocabulary, ``[k]``.
        pos: Positions in Å, ``[k, 3]``; None when only the elements are known.
        charge: Charge classes, ``[k]``; None when they are not known.
    """

    element: NDArray[np.int64]
    pos: NDArray[np.float64] | None = None
    charge: NDArray[np.int64] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of known atoms."""
        return len(self.element)

    @property
    def origin(self) -> NDArray[np.float64]:
        """Mean of the known positions in Å, ``[3]``; zero when there are none."""
        return np.zeros(3) if self.pos is None else self.pos.mean(axis=0)


@dataclass(frozen=True)
class Known:
    """What is known of the molecules of a run: molecule i takes part i, round and round.

    Attributes:
        parts: At least one.
        is_whole: Whether a part is all atoms of its molecule, and so decides the size.
        label: Where it comes from, for messages.
    """

    parts: tuple[Part, ...]
    is_whole: bool
    label: str

    def of(self, index: int) -> Part:
        """What is known of one molecule."""
        return self.parts[index % len(self.parts)]

    @property
    def most_atoms(self) -> int:
        """Atoms of the largest part."""
        return max(part.n_atoms for part in self.parts)

    @property
    def digest(self) -> str:
        """Sixteen hex digits, equal for equal knowledge."""
        state = hashlib.blake2b(f"{self.is_whole}".encode(), digest_size=8)
        for part in self.parts:
            for values in (part.element, part.pos, part.charge):
                state.update(b"-" if values is None else values.tobytes() + b";")
        return state.hexdigest()
