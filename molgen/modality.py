"""What a molecule consists of; the names are the keys of states, losses and estimates."""

from __future__ import annotations

from enum import StrEnum, auto


class Modality(StrEnum):
    """A part of a molecule that can be given, noised or predicted."""

    POS = auto()
    ELEMENT = auto()
    CHARGE = auto()
    BOND = auto()
    STEREO = auto()
