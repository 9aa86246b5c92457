"""Which atoms a record of a file is made of."""

from __future__ import annotations

from rdkit import Chem

from molgen.chem.read import Record


def composition(record: Record) -> tuple[int, ...]:
    """Atomic numbers of a record, ascending; hydrogens that SMILES leave out are counted.

    Args:
        record: Any record; an unreadable one has no atoms.
    """
    if record.molecule is not None:
        return tuple(sorted(record.molecule.atomic_numbers.tolist()))
    if record.mol is None or record.reason:
        return ()
    atoms = Chem.AddHs(record.mol).GetAtoms()
    return tuple(sorted(atom.GetAtomicNum() for atom in atoms))


def lacks_hydrogens(record: Record) -> bool:
    """Whether a record has 3D atoms but none of the hydrogens that its bonds ask for."""
    if record.molecule is None or record.mol is None or 1 in record.molecule.atomic_numbers:
        return False
    mol = Chem.Mol(record.mol)
    mol.UpdatePropertyCache(strict=False)
    return any(atom.GetTotalNumHs() for atom in mol.GetAtoms())


def is_flat_drawing(record: Record) -> bool:
    """Whether a record's coordinates are those of a drawing: marked 2D and in one plane."""
    if record.mol is None or not record.mol.GetNumConformers():
        return False
    return not record.mol.GetConformer().Is3D()
