"""Molecules from nothing but a size."""

from __future__ import annotations

from typing import Final

from molgen.tasks.task import Modality, Role, Task

DENOVO: Final = Task(
    "denovo",
    {
        Modality.POS: Role.NOISED,
        Modality.ELEMENT: Role.NOISED,
        Modality.CHARGE: Role.PREDICTED,
        Modality.BOND: Role.PREDICTED,
    },
)
