"""Score files of molecules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem

from molgen.chem.composition import is_flat_drawing
from molgen.chem.given import missing_hydrogens, record_of
from molgen.chem.io import Record, read_records
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule, from_geometry
from molgen.chem.read import format_of
from molgen.chem.relaxation import NOT, TAG
from molgen.cores import available_cores
from molgen.data.reference import Reference, load_reference
from molgen.errors import DataError
from molgen.metrics.compare import Comparison, compare
from molgen.metrics.evaluate import Progress, evaluate
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.perception import Criterion
from molgen.metrics.posebusters import bust_all
from molgen.metrics.rate import rate_of
from molgen.metrics.xtb import check_asked

XYZ: Final = ".xyz"

EMPTY: Final = "no atoms"
"""Reason of a molecule without atoms."""

NOT_JUDGED: Final = "not judged"
"""How reasons begin of records that are no molecules, such as those with dummy atoms."""

FLAT: Final = "flat, no 3D coordinates"
NO_HYDROGENS: Final = "hydrogens missing"

ADVICE: Final = {
    FLAT: "Embed it in 3D, as RDKit's EmbedMolecule does",
    NO_HYDROGENS: "Add them with coordinates: RDKit's AddHs(mol, addCoords=True), or read with "
    "removeHs=False",
}
"""What to do about a fault of a whole file."""


def evaluate_file(
    path: str | Path,
    reference: str | None = "qm9",
    *,
    charge: int | None = None,
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
        charge: Total charge of every record; None for that of each one's atoms.
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
    return evaluate_records(
        list(read_records(path)),
        known,
        name=str(path),
        charge=charge,
        relax=relax,
        xtb=xtb,
        n_workers=n_workers,
        progress=progress,
    )


def evaluate_records(
    records: Sequence[Record],
    reference: Reference | None,
    *,
    name: str = "molecules",
    charge: int | None = None,
    relax: bool = True,
    xtb: int | None = None,
    busted: Sequence[str] | None = None,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score records; see `evaluate_file`.

    Args:
        records: From a file or from molecules in memory.
        reference: The data set to compare with, or None.
        name: What they are called in messages.
        charge: Total charge of every record; None for that of each one's atoms.
        relax: Whether to relax geometries.
        xtb: How many records to relax in GFN2-xTB too.
        busted: What `bust` says of the records; None where it was not asked.
        n_workers: Processes; None for one per core.
        progress: Called as the slow checks advance.

    Raises:
        DataError: There are no coordinates.
    """
    judged = [one for one in records if not one.reason.startswith(NOT_JUDGED)]
    not_judged = Counter(one.reason for one in records if one.reason.startswith(NOT_JUDGED))
    faults = Counter(fault for record in judged if (fault := fault_of(record)))
    evaluation = evaluate(
        [_molecule(name, record) for record in judged],
        reference,
        has_bonds=any(record.mol is not None for record in records),
        criterion=criterion_of(records, charge),
        relax=relax,
        xtb=xtb,
        n_workers=n_workers,
        progress=progress,
    )
    return replace(
        evaluation,
        **_posebusters(judged, busted),
        not_judged=dict(not_judged.most_common()),
        relaxed_before=_relaxed_before(records),
        invalid_reasons=_named(evaluation.invalid_reasons, faults),
        perception_reasons=_named(evaluation.perception_reasons, faults),
    )


def bust(
    records: Sequence[Record],
    checks: str,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """PoseBusters' checks that each record fails, joined by commas; one with a fault fails by it.

    Args:
        records: Of one file.
        checks: A key of `molgen.metrics.posebusters.CONFIGS`.
        n_workers: Processes; None for one per core.
        progress: Called as they advance.
    """
    faults = [fault_of(record) for record in records]
    mols = [None if fault else record.mol for record, fault in zip(records, faults, strict=True)]
    told = None if progress is None else lambda n: progress("PoseBusters", n, len(mols))
    found = bust_all(mols, checks, n_workers or available_cores(), told)
    return [fault or one for fault, one in zip(faults, found, strict=True)]


def _posebusters(judged: Sequence[Record], busted: Sequence[str] | None) -> dict[str, Any]:
    if busted is None:
        return {}
    own = [busted[record.index] for record in judged]
    reasons = Counter(name for one in own if one for name in one.split(", "))
    return {
        "posebusters": rate_of(not one for one in own),
        "posebusters_reasons": dict(reasons.most_common()),
    }


def criterion_of(records: Sequence[Record], charge: int | None = None) -> Criterion:
    """How the coordinates of a file are judged.

    Args:
        records: Of the file. Where none has bonds, all may have charged groups.
        charge: Total charge of every record; None for that of each one's atoms.
    """
    return Criterion(charge, charged_atoms=all(record.mol is None for record in records))


def records_of(mols: Iterable[Chem.Mol] | Chem.Mol) -> list[Record]:
    """Molecules in memory as records, one for each conformer.

    Raises:
        ChemistryError: A molecule has no conformer.
    """
    records: list[Record] = []
    for mol in [mols] if isinstance(mols, Chem.Mol) else mols:
        if mol.GetNumConformers() < 2:
            molecule_of(mol)  # says what is missing
            records.append(record_of(mol, len(records)))
        for conformer in mol.GetConformers() if mol.GetNumConformers() > 1 else ():
            one = Chem.Mol(mol, confId=conformer.GetId())
            records.append(record_of(one, len(records)))
    return records


def _named(reasons: Mapping[str, int], faults: Mapping[str, int]) -> dict[str, int]:
    """Reasons in which records that could not be read do not count as molecules without atoms."""
    counts = Counter(reasons)
    if not counts:
        return {}
    for fault, n in faults.items():
        counts[EMPTY] -= n
        counts[fault.partition(":")[0]] += n
    return dict((+counts).most_common())


def fault_of(record: Record) -> str:
    """Why a record is not a molecule in 3D with all its atoms; empty where it is."""
    if record.reason:
        return record.reason
    if is_flat_drawing(record):
        return FLAT
    if record.mol is not None and record.molecule is not None:
        n_missing = missing_hydrogens(record.mol)
        if n_missing > int((record.molecule.atomic_numbers == 1).sum()):
            return f"{NO_HYDROGENS}: {n_missing}"
    return ""


def _relaxed_before(records: Iterable[Record]) -> dict[str, int]:
    notes = Counter(record.tags.get(TAG, NOT) for record in records)
    return {note: count for note, count in notes.most_common() if not note.startswith(NOT)}


def compare_files(
    path: str | Path, other: str | Path, *, n_workers: int | None = None
) -> Comparison:
    """Compare the records of two files: of the same title, or else first with first and so on.

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
        if format_of(name) == XYZ:
            raise DataError(f"{name} has no bonds", "Compare .sdf files")
    sides = [list(read_records(name)) for name in (path, other)]
    mine, theirs = (
        [_molecule(name, record) for record in records]
        for name, records in zip((path, other), sides, strict=True)
    )
    return compare(mine, theirs, n_workers or available_cores(), pairs=_pairs(*sides))


def _pairs(records: Sequence[Record], others: Sequence[Record]) -> list[tuple[int, int]] | None:
    """Records of one title; None where titles do not tell them apart or none is in both files."""
    places = {record.title: record.index for record in others if record.title}
    titles = [record.title for record in records if record.title]
    is_unique = len(set(titles)) == len(records) and len(places) == len(others)
    pairs = [(one.index, places[one.title]) for one in records if one.title in places]
    return pairs if is_unique and pairs else None


def _molecule(path: str | Path, record: Record) -> Molecule:
    if record.mol is not None and record.mol.GetNumConformers() == 0:
        raise DataError(f"{path} has no coordinates", "Give an .sdf, .mol2, .pdb or .xyz file")
    if record.molecule is not None and not fault_of(record):
        return record.molecule
    return from_geometry(np.zeros(0, dtype=np.uint8), np.zeros((0, 3), dtype=np.float32))
