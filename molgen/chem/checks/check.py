"""What a check is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rdkit import Chem

Value = float | int | bool | str | None
"""What a check says in one column; None where it does not apply."""

Tags = Mapping[str, str]
"""The data fields of a record."""


@dataclass(frozen=True)
class Check:
    """A pure function of a molecule, and the names of what it returns.

    Attributes:
        columns: Names of the values.
        measure: Takes a sanitised molecule with all hydrogens and one conformer (Å), and the data
            fields of its record; returns a value per column.
    """

    columns: tuple[str, ...]
    measure: Callable[[Chem.Mol, Tags], dict[str, Value]]
