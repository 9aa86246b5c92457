"""Atoms of another structure that share a frame with the molecules to be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from molgen.chem.composition import is_flat_drawing
from molgen.chem.read import read_records
from molgen.chem.reading.source import read_lines
from molgen.errors import DataError, UsageError

HINT = "Give a 3D .sdf, .xyz or .pdb file"

MAX_ATOMS: Final = 200_000
"""Atoms of a structure, a large protein among them."""


@dataclass(frozen=True)
class Surroundings:
    """Atoms that stay where they are and belong to no molecule of a run.

    Attributes:
        atomic_numbers: Shape ``[M]``.
        pos: Positions in Å, ``[M, 3]``.
    """

    atomic_numbers: NDArray[np.int64]
    pos: NDArray[np.float64]


def read_surroundings(path: Path) -> Surroundings:
    """All atoms of all records of a file.

    Args:
        path: A ``.pdb`` file, read by RDKit (the first of alternate locations), or one that
            `molgen.chem.read` reads, in 3D.

    Raises:
        UsageError: It has no 3D coordinates.
        DataError: It cannot be read.
    """
    found = _of_pdb(path) if path.suffix.lower() == ".pdb" else _of_records(path)
    if not len(found.pos) or not np.isfinite(found.pos).all():
        raise UsageError(f"{path} holds no usable atoms", HINT)
    return found


def vdw_radii(atomic_numbers: NDArray[np.integer]) -> NDArray[np.float64]:
    """Van der Waals radii of RDKit's periodic table in Å, one per atom."""
    table = Chem.GetPeriodicTable()
    return np.array([table.GetRvdw(int(z)) for z in atomic_numbers], dtype=np.float64)


def _of_records(path: Path) -> Surroundings:
    numbers, places = [], []
    for record in read_records(path, max_atoms=MAX_ATOMS):
        if record.molecule is None or is_flat_drawing(record):
            reason = record.reason or "no 3D coordinates"
            raise UsageError(f"{path}, record {record.index + 1}: {reason}", HINT)
        numbers.append(record.molecule.atomic_numbers.astype(np.int64))
        places.append(record.molecule.pos.astype(np.float64))
    return Surroundings(np.concatenate(numbers), np.concatenate(places))


def _of_pdb(path: Path) -> Surroundings:
    text = "".join(f"{line}\n" for line in read_lines(path))
    with rdBase.BlockLogs():
        mol: Any = Chem.MolFromPDBBlock(
            text, sanitize=False, removeHs=False, proximityBonding=False
        )
    if mol is None or not mol.GetNumAtoms():
        raise DataError(f"{path} is not a PDB file", HINT)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64)
    return Surroundings(numbers, np.array(mol.GetConformer().GetPositions()))
