"""What keeps a record of a file from being judged as a molecule in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from rdkit import Chem

from molgen.chem.composition import is_flat_drawing
from molgen.chem.elements import SYMBOLS
from molgen.chem.given import missing_hydrogens
from molgen.chem.reading.record import NOT_JUDGED, Record
from molgen.config.evaluation import EvaluationConfig
from molgen.errors import UsageError
from molgen.metrics.perception import Criterion, SecondOpinion

FLAT: Final = "flat, no 3D coordinates"
NO_HYDROGENS: Final = "hydrogens missing"

ADVICE: Final = {
    FLAT: "Embed it in 3D, for example: molgen conformers FILE",
    NO_HYDROGENS: "Add them with coordinates: --add-hs, or RDKit's AddHs(mol, addCoords=True)",
}
"""What to do about a fault of a whole file."""

NON_METALS: Final = frozenset(
    {1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 33, 34, 35, 36, 51, 52, 53, 54, 85, 86}
)
"""Atomic numbers of elements whose bonds the checks know: no metals."""


def fault_of(record: Record) -> str:
    """Why a record is not a molecule in 3D with all its atoms; empty where it is.

    Valences, bonds by distance and force fields are those of covalent molecules: a record with a
    metal is not judged.
    """
    if metals := _metals(record):
        beside = f", {record.reason}" if record.reason else ""
        return f"{NOT_JUDGED}: metal {', '.join(metals)}{beside}"
    if record.reason:
        return record.reason
    if is_flat_drawing(record):
        return FLAT
    if record.mol is not None and record.molecule is not None:
        n_missing = missing_hydrogens(record.mol)
        if n_missing > int((record.molecule.atomic_numbers == 1).sum()):
            return f"{NO_HYDROGENS}: {n_missing}"
    return ""


def is_judged(fault: str) -> bool:
    """Whether the checks apply to a record with this fault."""
    return not fault.startswith(NOT_JUDGED)


def criterion_of(records: Sequence[Record], config: EvaluationConfig) -> Criterion:
    """How the coordinates of a file are judged.

    Args:
        records: Of the file. Where none has bonds, all may have charged groups.
        config: The charge, and who is asked.

    Raises:
        UsageError: Open Babel is to be asked and is missing.
    """
    return Criterion(
        config.charge,
        charged_atoms=all(record.mol is None for record in records),
        second=_open_babel() if config.perception == "combined" else None,
    )


def _open_babel() -> SecondOpinion:
    if find_spec("openbabel") is None:
        raise UsageError("Open Babel is missing", 'Type: pip install "molgen[openbabel]"')
    from molgen.integrations.openbabel import perceived  # noqa: PLC0415 - an extra

    return perceived


def _metals(record: Record) -> list[str]:
    """Metals that are part of a molecule: an ion without bonds is a counter-ion, and judged."""
    if isinstance(record.mol, Chem.Mol):
        numbers = {atom.GetAtomicNum() for atom in record.mol.GetAtoms() if atom.GetDegree()}
    elif record.molecule is not None:
        numbers = set(record.molecule.atomic_numbers.tolist())
    else:
        numbers = set()
    return [SYMBOLS[z] for z in sorted(numbers - NON_METALS) if 0 < z < len(SYMBOLS)]
