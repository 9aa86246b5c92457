"""Score files of molecules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from molgen.chem.io import Record, read_records
from molgen.chem.molecule import Molecule, from_geometry
from molgen.chem.relaxing import NOT, TAG
from molgen.data.reference import load_reference
from molgen.errors import DataError
from molgen.eval.compare import Comparison, compare
from molgen.eval.evaluation import Evaluation
from molgen.eval.metrics import Progress, evaluate, n_cores
from molgen.eval.xtb import check_asked

XYZ: Final = ".xyz"


def evaluate_file(
    path: str | Path,
    reference: str | None = "qm9",
    *,
    relax: bool = True,
    xtb: int | None = None,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score every record of an SDF or XYZ file.

    XYZ has no bonds, so the scores of bond graphs are then None. A record that cannot be read
    counts as invalid: denominators are all records.

    Args:
        path: An ``.sdf``, ``.sdf.gz`` or ``.xyz`` file.
        reference: Name of the data set to compare with, or None.
        relax: Whether to relax geometries in the force field, the slowest check unless `xtb` is.
        xtb: How many records, the first, to relax in GFN2-xTB too; None for none.
        n_workers: Processes; None for one per core.
        progress: Called as the slow checks advance.

    Returns:
        The scores.

    Raises:
        DataError: The file is missing, malformed, empty, or has no coordinates; or the reference
            is unknown.
        UsageError: `xtb` is below 1, or tblite is missing.
    """
    check_asked(xtb)
    known = load_reference(reference) if reference is not None else None
    records = list(read_records(path))
    evaluation = evaluate(
        [_molecule(path, record) for record in records],
        known,
        has_bonds=Path(path).suffix.lower() != XYZ,
        relax=relax,
        xtb=xtb,
        n_workers=n_workers,
        progress=progress,
    )
    return replace(evaluation, relaxed_before=_relaxed_before(records))


def _relaxed_before(records: Iterable[Record]) -> dict[str, int]:
    notes = Counter(record.tags.get(TAG, NOT) for record in records)
    return {note: count for note, count in notes.most_common() if not note.startswith(NOT)}


def compare_files(
    path: str | Path, other: str | Path, *, n_workers: int | None = None
) -> Comparison:
    """Compare the records of two SDF files, first with first and so on.

    Args:
        path: A file with bonds.
        other: Another, taken as the reference.
        n_workers: Processes; None for one per core.

    Returns:
        Symmetric heavy-atom RMSD of each pair and distances between distributions of shape.

    Raises:
        DataError: A file is missing, malformed, empty, or has no bonds.
    """
    for name in (path, other):
        if Path(name).suffix.lower() == XYZ:
            raise DataError(f"{name} has no bonds", "Compare .sdf files")
    return compare(read_molecules(path), read_molecules(other), n_workers or n_cores())


def read_molecules(path: str | Path) -> list[Molecule]:
    """Every record of a file; one that cannot be read becomes a molecule without atoms.

    Raises:
        DataError: The file is missing, malformed, empty, or has no coordinates.
    """
    return [_molecule(path, record) for record in read_records(path)]


def _molecule(path: str | Path, record: Record) -> Molecule:
    if record.molecule is not None:
        return record.molecule
    if record.mol is not None and record.mol.GetNumConformers() == 0:
        raise DataError(f"{path} has no coordinates", "Give an .sdf, .sdf.gz or .xyz file")
    return from_geometry(np.zeros(0, dtype=np.uint8), np.zeros((0, 3), dtype=np.float32))
