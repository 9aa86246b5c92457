"""Molecules as one file each for other programs: checked before, read back after.

PDBQT is written by Meeko (the extra ``molgen[docking]``), which neither protonates nor looks at
whether coordinates are 3D: both are checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from rdkit import Chem, rdBase

from molgen.chem.constitution import constitution
from molgen.errors import ChemistryError, UsageError

BOND_SHARE: Final = 0.25
"""Bonds differ from the sum of covalent radii by less than this share; those of drawings do not:
a bond to hydrogen is drawn as long as any other."""

FLAT: Final = 0.05
"""Signed volume of unit bonds to three neighbours below which a tetrahedral atom is flat; .77 is
that of a regular one."""


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
    """A molecule as PDBQT, by Meeko.

    Raises:
        ChemistryError: Meeko cannot treat it.
        UsageError: Meeko is missing.
    """
    meeko = _meeko()
    try:
        setups = meeko.MoleculePreparation().prepare(mol)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ChemistryError(f"Meeko: {reason}", "Leave it out") from None
    text, is_done, reason = meeko.PDBQTWriterLegacy.write_string(setups[0])
    if not is_done:
        raise ChemistryError(f"Meeko: {' '.join(reason.split())}", "Leave it out")
    return str(text)


def from_pdbqt(text: str) -> Chem.Mol:
    """The molecule of a PDBQT that Meeko wrote, or of the poses that Vina made of it.

    Returns:
        Bonds and stereo of the SMILES in the file, all hydrogens, a conformer for each pose.

    Raises:
        UsageError: Meeko is missing.
    """
    meeko = _meeko()
    read = meeko.PDBQTMolecule(text, skip_typing=True)
    mol: Chem.Mol = meeko.RDKitMolCreate.from_pdbqt_mol(read)[0]
    return mol


def mol2(mol: Chem.Mol) -> str:
    """A molecule as Tripos mol2 with Sybyl types, by Open Babel.

    Raises:
        UsageError: Open Babel is missing.
    """
    return _open_babel().converted(Chem.MolToMolBlock(mol), "mol", "mol2")


def from_mol2(text: str) -> Chem.Mol | None:
    """The molecule of a mol2 that Open Babel wrote."""
    block = _open_babel().converted(text, "mol2", "mol")
    return Chem.MolFromMolBlock(block, removeHs=False)


def from_pdb(text: str) -> Chem.Mol | None:
    """The molecule of a PDB that RDKit wrote: bond orders are bonds said twice."""
    return Chem.MolFromPDBBlock(text, removeHs=False, proximityBonding=False)


def from_mol(text: str) -> Chem.Mol | None:
    """The molecule of a MOL block."""
    return Chem.MolFromMolBlock(text, removeHs=False)


def _open_babel() -> Any:
    if find_spec("openbabel") is None:
        raise UsageError("mol2 needs Open Babel", 'Type: pip install "molgen[openbabel]"')
    return import_module("molgen.integrations.openbabel")


def _meeko() -> Any:
    if find_spec("meeko") is None:
        raise UsageError("PDBQT needs Meeko", 'Type: pip install "molgen[docking]"')
    return import_module("meeko")


def _is_same(mol: Chem.Mol, back: Chem.Mol | None) -> bool:
    """Whether two molecules have the same graph in the same place, and hence the same stereo.

    Stereo that RDKit reads from coordinates is not compared: in strained rings, where four
    neighbours lie on one side, it depends on their order.
    """
    if back is None:
        return False
    one, other = Chem.RemoveAllHs(mol), Chem.RemoveAllHs(back)
    if constitution(one) != constitution(other):
        return False
    pos = [each.GetConformer().GetPositions() for each in (one, other)]
    apart = np.linalg.norm(pos[0][:, None] - pos[1][None], axis=-1)
    place = apart.argmin(axis=1)
    pairs = {
        frozenset((int(place[bond.GetBeginAtomIdx()]), int(place[bond.GetEndAtomIdx()])))
        for bond in one.GetBonds()
    }
    there = {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in other.GetBonds()}
    return bool(apart.min(axis=1).max(initial=0) < SAME_PLACE) and pairs == there


SAME_PLACE: Final = 0.01
"""Å; formats round to .001 or .0001."""


@dataclass(frozen=True)
class FileFormat:
    """One file for a molecule.

    Attributes:
        write: Its text.
        read: The molecule of this text; None for a format without bonds.
    """

    write: Callable[[Chem.Mol], str]
    read: Callable[[str], Chem.Mol | None] | None = None


FORMATS: Final[Mapping[str, FileFormat]] = MappingProxyType(
    {
        "pdbqt": FileFormat(pdbqt, from_pdbqt),
        "mol2": FileFormat(mol2, from_mol2),
        "pdb": FileFormat(Chem.MolToPDBBlock, from_pdb),
        "xyz": FileFormat(Chem.MolToXYZBlock),
        "mol": FileFormat(Chem.MolToMolBlock, from_mol),
    }
)
"""By file suffix."""


def exported(mol: Chem.Mol, to: str) -> str:
    """A molecule as a file of a format, read back: graph and stereo are those of the molecule.

    Args:
        mol: Without `fault_of`.
        to: A key of `FORMATS`.

    Raises:
        ChemistryError: The program that writes it cannot treat it, or wrote another molecule.
        UsageError: This program is missing.
    """
    form = FORMATS[to]
    with rdBase.BlockLogs():
        try:
            text = form.write(mol)
            back = mol if form.read is None else form.read(text)
            same = _is_same(mol, back)
        except (ValueError, RuntimeError, AttributeError, KeyError) as error:
            reason = " ".join(str(error).split())[:100]
            raise ChemistryError(f"{to}: {reason}", "Leave it out") from None
    if not same:
        raise ChemistryError(f"{to} holds another molecule when it is read back", "Leave it out")
    return text
