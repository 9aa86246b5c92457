"""One record of a file, and the checks that every format shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from rdkit import Chem

from molgen.chem.mol import FARTHEST, molecule_of
from molgen.chem.molecule import Molecule
from molgen.errors import ChemistryError

MAX_ATOMS: Final = 2_000
"""Atoms of a record that is read: what checks distances needs memory of their square."""

NOT_JUDGED: Final = "not judged"
"""How reasons begin of records that no check applies to."""

DUMMY: Final = f"{NOT_JUDGED}: dummy atom"
"""Reason of a record with an atom that is no element."""


@dataclass(frozen=True)
class Record:
    """One record of a file of molecules.

    Attributes:
        index: Its place in the file, from 0.
        title: Its title, perhaps empty.
        molecule: Elements and positions, and where the format has them the bonds and charges as
            written; None for SMILES and for a record that cannot be read.
        mol: From a format with bonds, the molecule as written, unsanitised, with every explicit
            hydrogen; from SMILES, sanitised and without a conformer; None for XYZ and for an
            unreadable record.
        reason: Why the record cannot be read; otherwise empty.
        tags: Data fields of an SDF record; ``key="value"`` pairs of an XYZ comment.
        isotopes: Mass numbers that the file gives, by atom.
    """

    index: int
    title: str
    molecule: Molecule | None = None
    mol: Chem.Mol | None = None
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    isotopes: Mapping[int, int] = field(default_factory=dict)


def too_large(n_atoms: int, limit: int) -> str:
    """The reason of a record with too many atoms."""
    return f"too large: {n_atoms} atoms, at most {limit}"


def record_of_mol(
    index: int, title: str, mol: Chem.Mol, limit: int, tags: Mapping[str, str] | None = None
) -> Record:
    """The record of a molecule that RDKit has read without sanitising it."""
    tags = tags or {}
    if mol.GetNumAtoms() > limit:
        return Record(index, title, reason=too_large(mol.GetNumAtoms(), limit), tags=tags)
    if not all(atom.GetAtomicNum() for atom in mol.GetAtoms()):
        return Record(index, title, mol=mol, reason=DUMMY, tags=tags)
    if mol.GetNumConformers() and (reason := fault_of_positions(mol.GetConformer().GetPositions())):
        return Record(index, title, mol=mol, reason=reason, tags=tags)
    masses = {atom.GetIdx(): atom.GetIsotope() for atom in mol.GetAtoms() if atom.GetIsotope()}
    try:
        molecule = molecule_of(mol)
    except ChemistryError as error:
        return Record(index, title, mol=mol, reason=_unsettled(mol) or error.message, tags=tags)
    return Record(index, title, molecule, mol, tags=tags, isotopes=masses)


def fault_of_positions(pos: np.ndarray) -> str:
    """Why coordinates in Å cannot be used; empty where they can."""
    if not np.isfinite(pos).all():
        return "coordinates are not finite"
    if np.abs(pos).max(initial=0) > FARTHEST:
        return f"coordinates beyond {FARTHEST:g} Å"
    return ""


def _unsettled(mol: Chem.Mol) -> str:
    """Why a molecule with bonds beyond single, double and triple stays as it is written."""
    kinds = sorted({bond.GetBondType().name.lower() for bond in mol.GetBonds()} & _UNSETTLED)
    ends = [
        bond.GetEndAtom() for bond in mol.GetBonds() if bond.GetBondType().name.lower() in kinds
    ]
    metals = sorted({atom.GetSymbol() for atom in ends})
    return f"{' and '.join(kinds)} bonds to {', '.join(metals)}" if kinds else ""


_UNSETTLED: Final = {"dative", "dativel", "dativer", "dativeone"}
