"""Which atoms a record of a file is made of."""

from __future__ import annotations

from typing import Final

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


def charge_of(record: Record) -> int:
    """Sum of the formal charges of a record; 0 where its format has none."""
    if record.mol is None:
        return 0
    return sum(atom.GetFormalCharge() for atom in record.mol.GetAtoms())


def is_mixture(record: Record) -> bool:
    """Whether a record's bonds leave it in several pieces, as a salt's do."""
    return record.mol is not None and len(Chem.GetMolFrags(record.mol)) > 1


def most_bonds(atomic_number: int) -> int:
    """Largest valence of an uncharged atom; 8 for an element without a fixed one."""
    valences = list(Chem.GetPeriodicTable().GetValenceList(atomic_number))
    return 8 if -1 in valences else max(valences)


def lacks_hydrogens(record: Record) -> bool:
    """Whether a record has 3D atoms but none of the hydrogens that its bonds ask for."""
    if record.molecule is None or record.mol is None or 1 in record.molecule.atomic_numbers:
        return False
    mol = Chem.Mol(record.mol)
    mol.UpdatePropertyCache(strict=False)
    return any(atom.GetTotalNumHs() for atom in mol.GetAtoms())


def is_flat_drawing(record: Record) -> bool:
    """Whether a record's coordinates are those of a drawing: marked 2D and in one plane.

    Where the file has no mark, a plane is a drawing if an atom in it has four neighbours.
    """
    if record.mol is None or not record.mol.GetNumConformers() or _is_3d(record.mol):
        return False
    if record.mol.HasProp("_MolFileInfo") and "2D" in record.mol.GetProp("_MolFileInfo")[20:22]:
        return True
    mol = Chem.Mol(record.mol)
    mol.UpdatePropertyCache(strict=False)
    return any(atom.GetTotalDegree() >= _TETRAHEDRAL for atom in mol.GetAtoms())


def _is_3d(mol: Chem.Mol) -> bool:
    pos = mol.GetConformer().GetPositions()
    return bool(mol.GetConformer().Is3D() or (len(pos) and pos[:, 2].any()))


_TETRAHEDRAL: Final = 4
