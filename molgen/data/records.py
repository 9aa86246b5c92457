"""What every reader yields: molecules as their source gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.data.store import Entry


@dataclass(frozen=True)
class Record:
    """A molecule without bonds.

    Attributes:
        source_index: The source's own number of the molecule (QM9 counts from 1).
        atomic_numbers: Shape (n,), uint8.
        pos: Positions in Å, shape (n, 3), as precise as the source has them.
        smiles: The molecule's graph, in an atom order of its own.
    """

    source_index: int
    atomic_numbers: NDArray[np.uint8]
    pos: NDArray[np.floating[Any]]
    smiles: str


@dataclass(frozen=True)
class Unreadable:
    """A record that its source could not read.

    Attributes:
        source_index: Its number.
        name: Its title or SMILES.
        reason: Why, in a few words.
    """

    source_index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """A readable source.

    Attributes:
        name: What and where it is, for the manifest and for error messages.
        n_records: Number of records that `read` yields.
        read: Opens the source anew and yields its records in the source's order: molecules with
            bonds (`Entry`) or without (`Record`).
    """

    name: str
    n_records: int
    read: Callable[[], Iterator[Record | Entry | Unreadable]]
