"""Molecules that a caller hands over: as records, how complete, how alike."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator

from molgen.chem.mol import molecule_of
from molgen.chem.read import Record
from molgen.errors import ChemistryError


def record_of(mol: Chem.Mol, index: int = 0) -> Record:
    """An RDKit molecule as if it had been read from a file.

    Args:
        mol: With explicit hydrogens and a conformer, or the record says what is missing.
        index: Its place among others.
    """
    title = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    try:
        return Record(index, title, molecule=molecule_of(mol), mol=mol)
    except ChemistryError as error:
        return Record(index, title, mol=mol, reason=error.message)


def with_hydrogens(record: Record) -> Record:
    """A record with the hydrogens that its bonds ask for, placed by the usual lengths and angles.

    One that lacks none, has no bonds or cannot be sanitised stays as it is.
    """
    if record.mol is None or record.molecule is None or not missing_hydrogens(record.mol):
        return record
    mol = Chem.Mol(record.mol)
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return record
        full = Chem.AddHs(mol, addCoords=True)
    Chem.Kekulize(full, clearAromaticFlags=True)
    return replace(record, mol=full, molecule=molecule_of(full))


def missing_hydrogens(mol: Chem.Mol) -> int:
    """Hydrogens that the bonds of a molecule ask for and that are no atoms of it.

    Example:
        >>> missing_hydrogens(Chem.MolFromSmiles("CO"))
        4
    """
    copy = Chem.Mol(mol)
    copy.UpdatePropertyCache(strict=False)
    return sum(atom.GetTotalNumHs() for atom in copy.GetAtoms())


def has_open_valence(mol: Chem.Mol) -> bool:
    """Whether a bond can be made to a molecule whose bonds are all there.

    Example:
        >>> has_open_valence(Chem.AddHs(Chem.MolFromSmiles("C")))
        False
    """
    if not mol.GetNumBonds() and mol.GetNumAtoms() > 1:
        return True  # a file without bonds: nothing is known
    radicals = any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return radicals or missing_hydrogens(mol) > 0


def similarity(one: Chem.Mol, other: Chem.Mol) -> float | None:
    """Tanimoto similarity of Morgan fingerprints (radius 2, 2048 bits), hydrogens left out.

    Rogers and Hahn 2010, doi 10.1021/ci100050t.

    Args:
        one: Perhaps unsanitised.
        other: Likewise.

    Returns:
        From 0 to 1; None where one of the two cannot be sanitised.

    Example:
        >>> methanol = Chem.MolFromSmiles("CO")
        >>> similarity(methanol, methanol), similarity(methanol, Chem.MolFromSmiles("FC#N"))
        (1.0, 0.0)
    """
    prints = [_fingerprint(mol) for mol in (one, other)]
    return None if None in prints else float(DataStructs.TanimotoSimilarity(*prints))


def _fingerprint(mol: Chem.Mol) -> Any:
    """Morgan fingerprint; None for a molecule that cannot be sanitised."""
    with rdBase.BlockLogs():
        try:
            return _morgan().GetFingerprint(Chem.RemoveHs(mol, sanitize=True))
        except (Chem.MolSanitizeException, RuntimeError):
            return None


@cache
def _morgan() -> Any:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
