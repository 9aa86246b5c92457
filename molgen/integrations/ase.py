"""RDKit molecules as ASE atoms, for simulation and for force fields that ASE can drive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from ase import Atoms

from molgen.chem.mol import molecule_of, smiles_of

if TYPE_CHECKING:
    from rdkit import Chem


@overload
def to_ase(mols: Chem.Mol) -> Atoms: ...


@overload
def to_ase(mols: Iterable[Chem.Mol]) -> list[Atoms]: ...


def to_ase(mols: Any) -> Atoms | list[Atoms]:
    """Convert one molecule or many.

    Args:
        mols: With explicit hydrogens and one conformer each.

    Returns:
        ``Atoms`` with positions in Å and the formal charges as initial charges, or a list of
        them. ``info`` holds the molecule's properties (tags) and its canonical ``smiles``,
        empty for a molecule that RDKit cannot sanitise.

    Raises:
        ChemistryError: A molecule has no conformer.
    """
    if isinstance(mols, Iterable):
        return [_atoms(mol) for mol in mols]
    return _atoms(mols)


def _atoms(mol: Chem.Mol) -> Atoms:
    molecule = molecule_of(mol)
    return Atoms(
        numbers=molecule.atomic_numbers,
        positions=mol.GetConformer().GetPositions(),
        charges=molecule.formal_charge.astype(float),
        info={**mol.GetPropsAsDict(), "smiles": smiles_of(mol)},
    )
