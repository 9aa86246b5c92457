"""The molecules that a caller wants edited: read, checked, and ready for the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from molgen.chem.atom_classes import element_classes
from molgen.chem.composition import is_flat_drawing
from molgen.chem.elements import atom_name
from molgen.chem.given import missing_hydrogens, record_of
from molgen.chem.molecule import Molecule, without_hydrogens
from molgen.chem.read import Record, read_records
from molgen.errors import UsageError
from molgen.models.info import ModelInfo

if TYPE_CHECKING:
    from rdkit import Chem

ADD_HYDROGENS = "Add them with positions, as RDKit's AddHs(mol, addCoords=True) does"


@dataclass(frozen=True)
class Original:
    """A molecule to start from.

    Attributes:
        title: Its name, or its place in the file where it has none.
        molecule: All its atoms with positions in Å.
        mol: The same in RDKit, unsanitised, for comparisons; None where bonds are not known.
    """

    title: str
    molecule: Molecule
    mol: Chem.Mol | None = None


def read_originals(info: ModelInfo, path: str | Path) -> tuple[Original, ...]:
    """All molecules of a file.

    Args:
        info: The model that will edit them.
        path: An SDF or XYZ file with 3D coordinates and all hydrogens.

    Raises:
        UsageError: A record is not fit for the model.
        DataError: The file cannot be read.
    """
    return tuple(_original(info, record, path) for record in read_records(path))


def originals_of(
    info: ModelInfo, mols: Iterable[Chem.Mol], name: str = "mols"
) -> tuple[Original, ...]:
    """RDKit molecules, each with a conformer and explicit hydrogens.

    Args:
        info: The model that will edit them.
        mols: The molecules.
        name: What they are called in messages.

    Raises:
        UsageError: There is none, or one is not fit for the model.
    """
    found = tuple(_original(info, record_of(mol, index), name) for index, mol in enumerate(mols))
    if not found:
        raise UsageError(f"{name} holds no molecules", "Give one RDKit molecule or more")
    return found


def _original(info: ModelInfo, record: Record, source: str | Path) -> Original:
    """A record that passed all checks."""
    where = f"{source}, record {record.index + 1}"
    molecule = record.molecule
    if molecule is None or record.reason or is_flat_drawing(record):
        raise UsageError(
            f"{where}: {record.reason or 'no 3D coordinates'}",
            "Give molecules with 3D coordinates, as SDF or XYZ",
        )
    if not np.isfinite(molecule.pos).all():
        raise UsageError(f"{where}: a coordinate is no number", "Correct or remove the record")
    # Several atoms without a bond are a geometry, whatever the format.
    mol = record.mol if molecule.n_bonds or molecule.n_atoms == 1 else None
    n_missing = 0 if mol is None else missing_hydrogens(mol)
    if n_missing:
        word = "hydrogen" if n_missing == 1 else "hydrogens"
        raise UsageError(f"{where} lacks {n_missing} {word}", ADD_HYDROGENS)
    if info.vocabulary.hydrogens:
        molecule = without_hydrogens(molecule)
    _check_atoms(info, molecule, where)
    return Original(record.title or where, molecule, mol)


def _check_atoms(info: ModelInfo, molecule: Molecule, where: str) -> None:
    """Reject molecules of a kind or size that the model was not made for."""
    classes = element_classes(info.vocabulary, molecule.atomic_numbers, molecule.hydrogens)
    unknown = np.flatnonzero(classes < 0)
    if len(unknown):
        first = int(unknown[0])
        hydrogens = 0 if molecule.hydrogens is None else int(molecule.hydrogens[first])
        atom = atom_name(int(molecule.atomic_numbers[first]), hydrogens)
        raise UsageError(
            f"{where} holds {atom}, which {info.name} does not know",
            f"Use {', '.join(info.vocabulary.symbols)} only",
        )
    if not 1 <= molecule.n_atoms <= info.max_atoms:
        raise UsageError(
            f"{where} has {molecule.n_atoms} atoms; {info.name} makes 1 to {info.max_atoms}",
            f"Give molecules of up to {info.max_atoms} {info.counted_atoms}",
        )
