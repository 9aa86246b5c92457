"""Molecules as one file each for other programs: checked before; PDBQT is read back after.

PDBQT is written by Meeko (the extra ``molgen[docking]``), which neither protonates nor looks at
whether coordinates are 3D: both are checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from rdkit import Chem, rdBase

from molgen.errors import ChemistryError, UsageError

BOND_SHARE: Final = 0.25
"""Bonds differ from the sum of covalent radii by less than this share; those of drawings do not:
a bond to hydrogen is drawn as long as any other."""

FLAT: Final = 0.05
"""Signed volume of unit bonds to three neighbours below which a tetrahedral atom is flat; .77 is
that of a regular one."""

Writer = Callable[[Chem.Mol], str]


def fault_of(mol: Chem.Mol) -> str:
    """Why a molecule cannot be docked as it is; empty where it can.

    Args:
        mol: Sanitised, as its file has it.
    """
    return fault_of_graph(mol) or fault_of_geometry(mol)


def fault_of_graph(mol: Chem.Mol) -> str:
    """What is missing or too much; empty for nothing."""
    if len(Chem.GetMolFrags(mol)) > 1:
        return "more than one fragment"
    if missing := sum(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        return f"{missing} hydrogens are missing"
    return "a radical" if any(one.GetNumRadicalElectrons() for one in mol.GetAtoms()) else ""


def fault_of_geometry(mol: Chem.Mol) -> str:
    """Why coordinates are not those of a molecule in 3D; empty where they are."""
    if not mol.GetNumConformers():
        return "no coordinates"
    pos = mol.GetConformer().GetPositions()
    if not np.isfinite(pos).all():
        return "coordinates are not finite"
    table = Chem.GetPeriodicTable()
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        usual = sum(table.GetRcovalent(atom.GetAtomicNum()) for atom in ends)
        length = float(np.linalg.norm(pos[ends[0].GetIdx()] - pos[ends[1].GetIdx()]))
        if abs(length / usual - 1) > BOND_SHARE:
            names = "-".join(f"{atom.GetSymbol()}{atom.GetIdx() + 1}" for atom in ends)
            return f"not a 3D geometry: the bond {names} is {length:.2f} Å long"
    return "not a 3D geometry: a tetrahedral atom is flat" if _is_flat(mol, pos) else ""


def _is_flat(mol: Chem.Mol, pos: np.ndarray) -> bool:
    """Whether an atom with four neighbours lies in a plane with them."""
    for atom in mol.GetAtoms():
        near = [one.GetIdx() for one in atom.GetNeighbors()]
        if len(near) != 4 or atom.GetHybridization() != Chem.HybridizationType.SP3:
            continue
        bonds = pos[near] - pos[atom.GetIdx()]
        unit = bonds / np.maximum(np.linalg.norm(bonds, axis=1, keepdims=True), 1e-6)
        volumes = [abs(np.linalg.det(np.delete(unit, left, axis=0))) for left in range(4)]
        if max(volumes) < FLAT:
            return True
    return False


def pdbqt(mol: Chem.Mol) -> str:
    """A molecule as PDBQT, by Meeko; graph and stereo are those of the molecule.

    Raises:
        ChemistryError: Meeko cannot treat it, or what it wrote is another molecule.
        UsageError: Meeko is missing.
    """
    meeko = _meeko()
    try:
        with rdBase.BlockLogs():
            setups = meeko.MoleculePreparation().prepare(mol)
            text, is_done, reason = meeko.PDBQTWriterLegacy.write_string(setups[0])
            if not is_done:
                raise ChemistryError(f"Meeko: {' '.join(reason.split())}", "Leave it out")
            back = from_pdbqt(text)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise ChemistryError(
            f"Meeko: {' '.join(str(error).split())[:100]}", "Leave it out"
        ) from None
    if _smiles(back) != _smiles(mol):
        raise ChemistryError("Meeko wrote another molecule", "Leave it out")
    return str(text)


def from_pdbqt(text: str) -> Chem.Mol:
    """The molecule of a PDBQT that Meeko wrote, or of the poses that Vina made of it.

    Returns:
        Bonds of the SMILES in the file, all hydrogens, a conformer for each pose.

    Raises:
        UsageError: Meeko is missing.
    """
    meeko = _meeko()
    read = meeko.PDBQTMolecule(text, skip_typing=True)
    mol: Chem.Mol = meeko.RDKitMolCreate.from_pdbqt_mol(read)[0]
    Chem.AssignStereochemistryFrom3D(mol)
    return mol


def _smiles(mol: Chem.Mol) -> str:
    """Canonical, stereo from the coordinates."""
    one = Chem.Mol(mol)
    Chem.AssignStereochemistryFrom3D(one)
    return str(Chem.MolToSmiles(Chem.RemoveHs(one)))


def _meeko() -> Any:
    if find_spec("meeko") is None:
        raise UsageError("PDBQT needs Meeko", 'Type: pip install "molgen[docking]"')
    return import_module("meeko")


WRITERS: Final[Mapping[str, Writer]] = MappingProxyType(
    {
        "pdbqt": pdbqt,
        "pdb": Chem.MolToPDBBlock,
        "xyz": Chem.MolToXYZBlock,
        "mol": Chem.MolToMolBlock,
    }
)
"""Writer of every format, by file suffix."""
