"""Lines of SMILES files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.reading.record import Record, too_large

MAX_SMILES: Final = 20_000
"""Characters of one SMILES."""


def parse_smiles(_path: Path, lines: Iterator[str], limit: int) -> Iterator[Record]:
    """Every line that is not blank: SMILES, a tab or blanks, a title.

    Args:
        lines: Of the file.
        limit: Largest number of heavy atoms of a record.
    """
    shown = (line.strip() for line in lines if line.strip())
    for index, line in enumerate(shown):
        smiles, _, rest = line.partition("\t" if "\t" in line else " ")
        title = rest.split("\t")[0].strip()
        if len(smiles) > MAX_SMILES:
            yield Record(index, title, reason=f"too large: {len(smiles)} characters")
            continue
        with rdBase.BlockLogs():
            mol: Any = Chem.MolFromSmiles(smiles)
        if mol is None:
            yield Record(index, title, reason="unreadable SMILES")
        elif mol.GetNumAtoms() > limit:
            yield Record(index, title, reason=too_large(mol.GetNumAtoms(), limit))
        else:
            yield Record(index, title, mol=mol)
