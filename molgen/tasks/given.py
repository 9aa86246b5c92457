"""What is given of the molecules of a run: a composition, or atoms that stay in place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.tasks.task import Task


@dataclass(frozen=True)
class GivenAtoms:
    """What is given of one molecule: its first k atoms.

    Attributes:
        element: Element classes of the model's vocabulary, ``[k]``.
        pos: Positions in Å, ``[k, 3]``; None when only the elements are given.
        charge: Charge classes, ``[k]``; None when they are not given.
    """

    element: NDArray[np.int64]
    pos: NDArray[np.float64] | None = None
    charge: NDArray[np.int64] | None = None
    bonds: NDArray[np.int16] | None = None

    @property
    def n_atoms(self) -> int:
        """Number of given atoms."""
        return len(self.element)

    @property
    def origin(self) -> NDArray[np.float64]:
        """Mean of the given positions in Å, ``[3]``; zero when there are none."""
        return np.zeros(3) if self.pos is None else self.pos.mean(axis=0)


@dataclass(frozen=True)
class Conditioning:
    """What is given in a run: molecule i takes entry i, round and round.

    Attributes:
        task: Says what the network is asked for. Unless it is partial, an entry is all atoms of
            its molecule, and so decides the size.
        atoms: One entry or more.
        label: Where it comes from, for messages.
    """

    task: Task
    atoms: tuple[GivenAtoms, ...]
    label: str

    def of(self, index: int) -> GivenAtoms:
        """What is given of one molecule."""
        return self.atoms[index % len(self.atoms)]

    @property
    def most_atoms(self) -> int:
        """Atoms of the largest entry."""
        return max(one.n_atoms for one in self.atoms)

    @property
    def digest(self) -> str:
        """Sixteen hex digits, equal for equal conditioning."""
        state = hashlib.blake2b(f"{not self.task.partial}".encode(), digest_size=8)
        for one in self.atoms:
            for values in (one.element, one.pos, one.charge):
                state.update(b"-" if values is None else values.tobytes() + b";")
        return state.hexdigest()
