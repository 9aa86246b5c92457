"""Reader for the raw QM9 files that PyTorch Geometric and DeepChem use.

``gdb9.sdf`` holds all 133,885 molecules, ``uncharacterized.txt`` names the 3,054 whose relaxed
geometry failed the authors' consistency check; these are left out here as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rdkit import Chem, rdBase

from molgen.data.records import Record, Source
from molgen.errors import DataError

SDF: Final = "gdb9.sdf"
UNCHARACTERIZED: Final = "uncharacterized.txt"
N_UNCHARACTERIZED: Final = 3_054
N_QM9: Final = 133_885
"""Molecules in QM9 as published, the uncharacterised included."""

# The list of the uncharacterised stands between nine lines of head and one of foot.
_N_HEAD, _N_FOOT = 9, 1


def gdb9_source(folder: Path) -> Source:
    """QM9 from ``gdb9.sdf`` and ``uncharacterized.txt``.

    The SMILES of a record is that of the bonds in the file, and empty where these do not sanitise.

    Raises:
        DataError: A file is missing, or the list does not fit the molecules.
    """
    for name in (SDF, UNCHARACTERIZED):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name} is missing", f"{SDF} and {UNCHARACTERIZED} are needed"
            )
    skipped = _uncharacterized(folder / UNCHARACTERIZED)
    with (folder / SDF).open("rb") as stream:
        n_molecules = sum(line.startswith(b"$$$$") for line in stream)
    if n_molecules == N_QM9 and len(skipped) != N_UNCHARACTERIZED:
        raise DataError(
            f"{folder / UNCHARACTERIZED} names {len(skipped)} molecules, not {N_UNCHARACTERIZED}"
        )
    n_records = n_molecules - sum(number <= n_molecules for number in skipped)
    return Source(SDF, n_records, partial(_records, folder / SDF, skipped))


def _uncharacterized(path: Path) -> frozenset[int]:
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    try:
        return frozenset(int(line.split()[0]) for line in lines[_N_HEAD:-_N_FOOT])
    except (ValueError, IndexError):
        raise DataError(f"{path} is not QM9's list of uncharacterised molecules") from None


def _records(path: Path, skipped: frozenset[int]) -> Iterator[Record]:
    with rdBase.BlockLogs(), path.open("rb") as stream:
        supplier = Chem.ForwardSDMolSupplier(stream, sanitize=False, removeHs=False)
        for number, mol in enumerate(supplier, start=1):
            if mol is None:
                raise DataError(f"{path}: molecule {number} is damaged")
            if number not in skipped:
                yield _record(number, mol)


def _record(number: int, mol: Chem.Mol) -> Record:
    return Record(
        source_index=number,
        atomic_numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8),
        pos=mol.GetConformer().GetPositions(),
        smiles=_smiles(mol),
    )


def _smiles(mol: Chem.Mol) -> str:
    try:
        Chem.SanitizeMol(mol)
        return str(Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False))
    except Chem.MolSanitizeException:
        return ""
