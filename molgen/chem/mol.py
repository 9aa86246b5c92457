"""Between the package's arrays and RDKit molecules, with one verdict on what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from molgen.chem.elements import AROMATIC, SYMBOLS
from molgen.chem.molecule import Molecule
from molgen.errors import ChemistryError

BOND_TYPES: Final = {
    1: Chem.BondType.SINGLE,
    2: Chem.BondType.DOUBLE,
    3: Chem.BondType.TRIPLE,
    AROMATIC: Chem.BondType.AROMATIC,
}
"""RDKit's bond type of each bond class."""

BOND_CLASSES: Final = {bond_type: order for order, bond_type in BOND_TYPES.items()}
"""Bond class of each RDKit bond type that a molecule may hold."""

MOST_BONDS: Final = 40
"""Bonds of an atom beyond which RDKit cannot hold the sum of their orders."""

CLOSEST: Final = 0.1
"""Atoms nearer than this, in Å, overlap; no bond is shorter than 0.7 Å."""

FARTHEST: Final = 9999.0
"""Largest coordinate, in Å, that a V2000 record can hold in full."""


@dataclass(frozen=True)
class BuiltMol:
    """An RDKit molecule and the verdict on it.

    Attributes:
        mol: With one conformer. Sanitised and with stereo from the geometry when valid; as given
            and unsanitised, but fit to be written, when not.
        reason: Empty when sanitised, connected, of the right charge and without radicals;
            otherwise the first fault found, such as ``valence: N4 atom 7`` or
            ``disconnected: 3 fragments``.
    """

    mol: Chem.Mol
    reason: str

    @property
    def is_valid(self) -> bool:
        """Whether no fault was found."""
        return not self.reason


def build_mol(molecule: Molecule, total_charge: int | None = None) -> BuiltMol:
    """Build an RDKit molecule and say what is wrong with it.

    No hydrogen is added to those of the molecule: an atom with too few bonds is a fault.

    Args:
        molecule: Any molecule, broken ones included.
        total_charge: What its formal charges must add up to; None for its own.

    Returns:
        The molecule and the verdict.
    """
    degree = np.bincount(molecule.bonds[:, :2].ravel(), minlength=1)
    if degree.max() > MOST_BONDS:
        bare = _unsanitised(replace(molecule, bonds=molecule.bonds[:0]))
        atom = int(degree.argmax())
        symbol = SYMBOLS[int(molecule.atomic_numbers[atom])]
        reason = f"valence: {symbol} atom {atom} has {degree[atom]} bonds, all bonds left out"
        return BuiltMol(_writable(bare), reason)
    raw = _unsanitised(molecule)
    with rdBase.BlockLogs():
        mol = Chem.Mol(raw)
        failed = Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE
        reason = _problem(raw) if failed else _fault(mol, molecule.pos, total_charge)
        if reason:
            return BuiltMol(_writable(raw), reason)
        Chem.AssignStereochemistryFrom3D(mol)
    return BuiltMol(mol, "")


def molecule_of(mol: Chem.Mol) -> Molecule:
    """Read the arrays back from an RDKit molecule; bond classes are kept as they are.

    Args:
        mol: With explicit hydrogens and at least one conformer; need not be sanitised.

    Returns:
        The molecule with the positions of the first conformer.

    Raises:
        ChemistryError: There is no conformer, or a bond is none of single, double, triple and
            aromatic.
    """
    if mol.GetNumConformers() == 0:
        raise ChemistryError("the molecule has no conformer", "Read it from a file with 3D")
    rows = [_bond_row(bond) for bond in mol.GetBonds()]
    return Molecule(
        atomic_numbers=np.array([a.GetAtomicNum() for a in mol.GetAtoms()], dtype=np.uint8),
        pos=mol.GetConformer().GetPositions().astype(np.float32).reshape(-1, 3),
        formal_charge=np.array([a.GetFormalCharge() for a in mol.GetAtoms()], dtype=np.int8),
        bonds=np.array(sorted(rows), dtype=np.int16).reshape(-1, 3),
    )


def smiles_of(mol: Chem.Mol) -> str:
    """Canonical SMILES without explicit hydrogens.

    Args:
        mol: Any molecule.

    Returns:
        The SMILES; empty when the molecule cannot be sanitised.
    """
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))
        except (Chem.MolSanitizeException, RuntimeError):
            return ""


def _unsanitised(molecule: Molecule) -> Chem.RWMol:
    mol = Chem.RWMol()
    charges = molecule.formal_charge.tolist()
    hydrogens = [0] * len(charges) if molecule.hydrogens is None else molecule.hydrogens.tolist()
    for z, charge, n in zip(molecule.atomic_numbers.tolist(), charges, hydrogens, strict=True):
        atom = Chem.Atom(z)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(n)
        mol.AddAtom(atom)
    for begin, end, order in molecule.bonds.tolist():
        mol.AddBond(begin, end, BOND_TYPES[order])
        if order == AROMATIC:
            _mark_aromatic(mol.GetBondBetweenAtoms(begin, end))
    conformer = Chem.Conformer(molecule.n_atoms)
    conformer.SetPositions(_storable(molecule.pos))
    mol.AddConformer(conformer, assignId=True)
    return mol


def _mark_aromatic(bond: Chem.Bond) -> None:
    bond.SetIsAromatic(True)
    bond.GetBeginAtom().SetIsAromatic(True)
    bond.GetEndAtom().SetIsAromatic(True)


def _storable(pos: NDArray[np.float32]) -> NDArray[np.float64]:
    finite = np.nan_to_num(pos.astype(np.float64), nan=0.0, posinf=FARTHEST, neginf=-FARTHEST)
    return finite.clip(-FARTHEST, FARTHEST)


def _problem(raw: Chem.Mol) -> str:
    """What RDKit's sanitisation objects to."""
    problems = Chem.DetectChemistryProblems(raw)
    for problem in problems:
        if problem.GetType() == "AtomValenceException":
            return _valence(raw.GetAtomWithIdx(problem.GetAtomIdx()))
    if any("Kekulize" in problem.GetType() for problem in problems):
        return "cannot kekulize"
    return "cannot sanitize"


def _fault(mol: Chem.Mol, pos: NDArray[np.float32], total_charge: int | None) -> str:
    """What is wrong with a molecule that RDKit accepts."""
    if mol.GetNumAtoms() == 0:
        return "no atoms"
    for atom in mol.GetAtoms():
        if atom.GetNumRadicalElectrons():
            return _valence(atom)
    n_pieces = len(Chem.GetMolFrags(mol))
    if n_pieces > 1:
        return f"disconnected: {n_pieces} fragments"
    charge = Chem.GetFormalCharge(mol)
    if total_charge not in {None, charge}:
        return f"net charge {charge}" + (f", not {total_charge}" if total_charge else "")
    if not _has_kekule_form(mol):
        return "cannot kekulize"
    return "atoms overlap" if _overlaps(pos) else ""


def _has_kekule_form(mol: Chem.Mol) -> bool:
    """Whether the molecule can still be read once its hydrogens are implicit.

    RDKit accepts some aromatic systems with their hydrogens spelled out, and no longer without.
    """
    if not any(atom.GetIsAromatic() for atom in mol.GetAtoms()):
        return True
    try:
        Chem.RemoveHs(mol)
    except Chem.MolSanitizeException:
        return False
    return True


def _valence(atom: Chem.Atom) -> str:
    order = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
    sign = {-1: "-", 0: "", 1: "+"}.get(atom.GetFormalCharge(), f"({atom.GetFormalCharge():+d})")
    return f"valence: {SYMBOLS[atom.GetAtomicNum()]}{sign}{order:g} atom {atom.GetIdx()}"


def _overlaps(pos: NDArray[np.float32]) -> bool:
    if not np.isfinite(pos).all() or np.abs(pos).max() > FARTHEST:
        return True
    squared = np.square(pos[:, None] - pos[None]).sum(axis=-1)
    squared[np.diag_indices(len(pos))] = np.inf
    return bool(squared.min() < CLOSEST**2)


def _writable(raw: Chem.RWMol) -> Chem.Mol:
    mol = raw.GetMol()
    mol.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(mol)
    return mol


def _bond_row(bond: Chem.Bond) -> tuple[int, int, int]:
    if bond.GetBondType() not in BOND_CLASSES:
        raise ChemistryError(
            f"bond {bond.GetIdx()} is {bond.GetBondType().name.lower()}",
            "Only single, double, triple and aromatic bonds can be represented",
        )
    begin, end = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    return begin, end, BOND_CLASSES[bond.GetBondType()]
