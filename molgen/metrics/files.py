"""Score files of molecules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem

from molgen.chem.checks.table import TEXT, columns_of
from molgen.chem.given import record_of, with_hydrogens
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule, from_geometry
from molgen.chem.read import Record, format_of, read_records
from molgen.chem.relaxation import NOT, TAG
from molgen.config.evaluation import EvaluationConfig
from molgen.cores import available_cores
from molgen.data.reference import Reference
from molgen.did_you_mean import unknown
from molgen.errors import DataError, UsageError
from molgen.metrics.compare import Comparison, compare
from molgen.metrics.evaluate import score
from molgen.metrics.evaluation import Evaluation
from molgen.metrics.faults import criterion_of, fault_of, is_judged
from molgen.metrics.inspection import Progress, inspect, stage
from molgen.metrics.posebusters import bust_all, check_posebusters
from molgen.metrics.rate import rate_of
from molgen.metrics.verdicts import Verdict, verdict_of
from molgen.metrics.xtb import check_asked

XYZ: Final = ".xyz"

EMPTY: Final = "no atoms"
"""Reason of a molecule without atoms."""


def check_config(config: EvaluationConfig) -> None:
    """Refuse what cannot be checked here, before anything is read.

    Raises:
        UsageError: An unknown check or column, or an extra is missing.
    """
    check_asked(config.xtb)
    check_posebusters(config.posebusters)
    columns = [name for name in measured_columns(config) if not name.endswith(TEXT)]
    for name in config.require:
        if name not in columns:
            raise UsageError(*unknown("column", name, columns))
    criterion_of([], config)


def measured_columns(config: EvaluationConfig) -> list[str]:
    """Names of what is measured of each record.

    Raises:
        UsageError: There is no check of a name.
    """
    return [
        *(("mmff_strain", "rmsd_to_mmff") if config.relax else ()),
        *(("xtb_strain", "rmsd_to_xtb") if config.xtb else ()),
        *columns_of(config.checks),
    ]


def read_all(path: str | Path, config: EvaluationConfig) -> list[Record]:
    """Every record of a file, with hydrogens where they are to be added.

    Raises:
        DataError: The file is missing, malformed or empty.
    """
    return prepared(read_records(path), config)


def prepared(records: Iterable[Record], config: EvaluationConfig) -> list[Record]:
    """Records with the hydrogens that are to be added."""
    return [with_hydrogens(one) for one in records] if config.add_hydrogens else list(records)


def evaluate_records(
    records: Sequence[Record],
    reference: Reference | None,
    config: EvaluationConfig | None = None,
    *,
    name: str = "",
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score the records of a file, and judge each.

    Where no record has bonds, as in XYZ, scores of bond graphs are None. A record that cannot be
    read counts as invalid: denominators are all records, less those that no check applies to.

    Args:
        records: From a file or from molecules in memory.
        reference: The data set to compare with, or None.
        config: What is checked.
        name: Of the file, for messages and verdicts.
        n_workers: Processes; None for one per core.
        progress: Called as the slow checks advance.

    Returns:
        The scores, and the verdict on each record.

    Raises:
        DataError: There are no coordinates.
        UsageError: `check_config`.
    """
    config = config or EvaluationConfig()
    check_config(config)
    faults = [fault_of(record) for record in records]
    rows = [row for row, fault in enumerate(faults) if is_judged(fault)]
    judged = [records[row] for row in rows]
    criterion = criterion_of(records, config)
    molecules = [_molecule(name or "the input", records[row], faults[row]) for row in rows]
    found = inspect(
        molecules,
        has_bonds=any(record.mol is not None for record in records),
        criterion=criterion,
        relax=config.relax,
        xtb=config.xtb,
        checks=config.checks,
        tags=[record.tags for record in judged],
        n_workers=n_workers,
        progress=progress,
    )
    busted = _bust(records, faults, config, n_workers, progress)
    places = {row: place for place, row in enumerate(rows)}
    verdicts = tuple(
        verdict_of(
            record,
            fault,
            found,
            places[row],
            file=name,
            posebusters=busted[row],
            require=config.require,
        )
        if row in places
        else Verdict(
            name,
            record.index,
            record.title,
            record=fault,
            measured=dict.fromkeys(measured_columns(config)),
        )
        for row, (record, fault) in enumerate(zip(records, faults, strict=True))
    )
    evaluation = score(found, reference, criterion=criterion, n_workers=n_workers)
    counted = Counter(faults[row] for row in rows if faults[row])
    apart = Counter(fault for fault in faults if not is_judged(fault))
    return replace(
        evaluation,
        **_posebusters([busted[row] for row in rows], config),
        not_judged=dict(apart.most_common()),
        relaxed_before=_relaxed_before(records),
        invalid_reasons=_named(evaluation.invalid_reasons, counted),
        perception_reasons=_named(evaluation.perception_reasons, counted),
        records=verdicts,
    )


def _bust(
    records: Sequence[Record],
    faults: Sequence[str],
    config: EvaluationConfig,
    n_workers: int | None,
    progress: Progress | None,
) -> list[str]:
    """PoseBusters' checks that each record fails, joined by commas; one with a fault fails by it.

    Raises:
        DataError: No record has bonds.
    """
    if config.posebusters is None:
        return [""] * len(records)
    if all(record.mol is None for record in records):
        raise DataError("there are no bonds for PoseBusters", "Give an .sdf file")
    mols = [None if fault else record.mol for record, fault in zip(records, faults, strict=True)]
    told = stage("PoseBusters", len(mols), progress)
    found = bust_all(mols, config.posebusters, n_workers or available_cores(), told)
    return [fault or one for fault, one in zip(faults, found, strict=True)]


def _posebusters(busted: Sequence[str], config: EvaluationConfig) -> dict[str, Any]:
    if config.posebusters is None:
        return {}
    reasons = Counter(name for one in busted if one for name in one.split(", "))
    return {
        "posebusters": rate_of(not one for one in busted),
        "posebusters_reasons": dict(reasons.most_common()),
    }


def records_of(mols: Iterable[Chem.Mol] | Chem.Mol) -> list[Record]:
    """Molecules in memory as records, one for each conformer.

    Raises:
        ChemistryError: A molecule has no conformer.
    """
    records: list[Record] = []
    for mol in [mols] if isinstance(mols, Chem.Mol) else mols:
        if mol.GetNumConformers() < 2:
            molecule_of(mol)  # says what is missing
            records.append(_in_memory(mol, len(records)))
        for conformer in mol.GetConformers() if mol.GetNumConformers() > 1 else ():
            one = Chem.Mol(mol, confId=conformer.GetId())
            records.append(_in_memory(one, len(records)))
    return records


def _in_memory(mol: Chem.Mol, index: int) -> Record:
    """The record of a molecule, its properties as data fields."""
    tags = mol.GetPropsAsDict(includePrivate=False, includeComputed=False)
    return replace(record_of(mol, index), tags={name: str(one) for name, one in tags.items()})


def _named(reasons: Mapping[str, int], faults: Mapping[str, int]) -> dict[str, int]:
    """Reasons in which records that could not be read do not count as molecules without atoms."""
    counts = Counter(reasons)
    if not counts:
        return {}
    for fault, n in faults.items():
        counts[EMPTY] -= n
        counts[fault.partition(":")[0]] += n
    return dict((+counts).most_common())


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
        [_molecule(name, record, fault_of(record)) for record in records]
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


def _molecule(path: str | Path, record: Record, fault: str) -> Molecule:
    if record.mol is not None and record.mol.GetNumConformers() == 0:
        raise DataError(f"{path} has no coordinates", "Give an .sdf, .mol2, .pdb or .xyz file")
    if record.molecule is not None and not fault:
        return record.molecule
    return from_geometry(np.zeros(0, dtype=np.uint8), np.zeros((0, 3), dtype=np.float32))
