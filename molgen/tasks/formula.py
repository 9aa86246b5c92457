"""Molecules of a given composition, whose atoms have no places yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import SYMBOLS
from molgen.errors import UsageError
from molgen.models.info import ModelInfo
from molgen.tasks.given import Conditioning, GivenAtoms
from molgen.tasks.task import Finish, Modality, Role, Task

FORMULA: Final = Task(
    "formula",
    {
        Modality.POS: Role.NOISED,
        Modality.ELEMENT: Role.GIVEN,
        Modality.CHARGE: Role.PREDICTED,
        Modality.BOND: Role.PREDICTED,
    },
    finish=Finish(logit_bias=False),
)


def compositions(
    info: ModelInfo, atoms: Sequence[tuple[str, Sequence[int]]], label: str
) -> Conditioning:
    """Molecules of given atoms.

    Args:
        info: The model.
        atoms: Of each molecule: where it comes from, and its atomic numbers.
        label: Where they come from as a whole.

    Raises:
        UsageError: The model does not know an element or a size.
    """
    found = tuple(GivenAtoms(element_classes(info, one, where)) for where, one in atoms)
    given = Conditioning(FORMULA, found, label)
    if given.most_atoms > info.max_atoms:
        raise UsageError(
            f"{label} asks for {given.most_atoms} atoms; {info.name} makes up to {info.max_atoms}",
            f"Stay within {info.max_atoms} atoms, hydrogens included",
        )
    return given


def element_classes(info: ModelInfo, atoms: Sequence[int], where: str) -> NDArray[np.int64]:
    """Element classes of atomic numbers.

    Raises:
        UsageError: The model does not know one.
    """
    known = info.vocabulary.atomic_numbers
    for atom in atoms:
        if atom not in known:
            raise UsageError(
                f"{where} holds {SYMBOLS[atom]}, which {info.name} does not know",
                f"Use {', '.join(info.vocabulary.symbols)} only",
            )
    return np.array([known.index(atom) for atom in atoms], dtype=np.int64)
