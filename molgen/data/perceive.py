"""Bonds, bond orders and formal charges of a molecule known by its coordinates and its SMILES.

The rule, in order:

1. RDKit finds which atoms are bonded from the coordinates alone. If that skeleton (all atoms,
   labelled with their elements, every bond alike) is the skeleton of the SMILES, bond orders and
   formal charges come from the SMILES through the match of the two skeletons. Where several
   matches exist, the one that lays the higher orders on the shorter bonds is taken.
2. Otherwise RDKit finds bond orders and charges from the coordinates alone for a molecule of the
   data set's charge, and they are accepted if it sanitises, is one fragment and has no radicals. Such a molecule keeps the graph of its geometry.
3. Otherwise the molecule is left out, with the reason.

So the bonds of every molecule that is kept can be read off its coordinates, which is what generated
molecules are checked for. Bonds that RDKit's sanitisation calls aromatic are stored as
`AROMATIC` in place of a Kekulé form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import rdkit
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from molgen.chem.mol import BOND_CLASSES, molecule_of
from molgen.chem.molecule import Molecule
from molgen.chem.skeleton import heavy_atom_matches
from molgen.data.records import Record

RULE: Final = (
    "orders and charges from the SMILES where RDKit's connectivity of the coordinates is the "
    "SMILES' skeleton; otherwise RDKit DetermineBonds with the charge of the data set, if sanitised, "
    "one fragment, no radicals; otherwise left out. Bonds that a source gives are kept"
)
"""The rule in one sentence, for the manifest."""

TOOLS: Final = {"rdkit": rdkit.__version__}
"""What the outcome depends on besides the rule."""

OVERBONDED: Final = "coordinates read with more bonds than the SMILES"
TIGHT_FACTOR: Final = 1.15  # on RDKit's covalent radii; its default of 1.3 bonds across small cages

_ORDER_OF_CLASS: Final = np.array([0.0, 1.0, 2.0, 3.0, 1.5])


@dataclass(frozen=True)
class Settled:
    """A molecule whose bonds are known; `from_smiles` is False for rule 2."""

    molecule: Molecule
    from_smiles: bool


@dataclass(frozen=True)
class LeftOut:
    """A molecule whose bonds are not settled; `reason` is a short phrase for tables."""

    reason: str


def settle(record: Record, charge: int = 0) -> Settled | LeftOut:
    """Apply the rule of this module to one molecule.

    Rule 2 can run without end on an odd geometry; `prepare` calls this in killable processes.

    Args:
        record: Elements, positions and SMILES.
        charge: Of the molecule.

    Returns:
        The molecule with its bonds, or why it has none.
    """
    with rdBase.BlockLogs():
        named = _named(record.smiles, charge)
        bonded = _atoms_at(record)
        rdDetermineBonds.DetermineConnectivity(bonded)
        if named is not None and (molecule := _carried_over(bonded, named)) is not None:
            return Settled(molecule, from_smiles=True)
        outcome = _settle_by_geometry(record, charge)
        if isinstance(outcome, LeftOut) and named is not None:
            tight = _atoms_at(record)
            rdDetermineBonds.DetermineConnectivity(tight, useVdw=True, covFactor=TIGHT_FACTOR)
            if heavy_atom_matches(tight, named):
                return LeftOut(OVERBONDED)
        return outcome


def _named(smiles: str, charge: int) -> Chem.Mol | None:
    """The molecule of the SMILES with hydrogens, or None if rule 1 cannot use it."""
    mol = Chem.MolFromSmiles(smiles) if smiles else None
    return None if mol is None or _fault(mol, charge) else Chem.AddHs(mol)


def _carried_over(bonded: Chem.Mol, named: Chem.Mol) -> Molecule | None:
    """Rule 1; None when the skeletons differ."""
    matches = heavy_atom_matches(bonded, named)
    candidates = (_through(match, bonded, named) for match in matches)
    return min(candidates, key=_order_weighted_length, default=None)


def _through(match: dict[int, int], bonded: Chem.Mol, named: Chem.Mol) -> Molecule:
    """`bonded` with the orders and charges of `named`; bonds to hydrogen are single."""
    charge = np.zeros(bonded.GetNumAtoms(), dtype=np.int8)
    for source, target in match.items():
        charge[target] = named.GetAtomWithIdx(source).GetFormalCharge()
    orders = {
        frozenset((match[begin], match[end])): order
        for begin, end, order in _bond_rows(named)
        if begin in match and end in match
    }
    rows = [(i, j, orders.get(frozenset((i, j)), 1)) for i, j, _ in _bond_rows(bonded)]
    bonds = np.array(rows, dtype=np.int16).reshape(-1, 3)
    return replace(molecule_of(bonded), formal_charge=charge, bonds=bonds)


def _order_weighted_length(molecule: Molecule) -> float:
    begin, end, order = molecule.bonds.T
    length = np.linalg.norm(molecule.pos[begin] - molecule.pos[end], axis=1)
    return float(_ORDER_OF_CLASS[order] @ length)


def _settle_by_geometry(record: Record, charge: int) -> Settled | LeftOut:
    """Rule 2, or the reason for rule 3."""
    mol = _atoms_at(record)
    try:
        rdDetermineBonds.DetermineBonds(mol, charge=charge, allowChargedFragments=True)
        Chem.SanitizeMol(mol)
    except Chem.MolSanitizeException:
        return LeftOut("does not sanitise")
    except (ValueError, RuntimeError):
        return LeftOut("no bond assignment of this charge")
    if fault := _fault(mol, charge):
        return LeftOut(fault)
    return Settled(molecule_of(mol), from_smiles=False)


def _fault(mol: Chem.Mol, charge: int) -> str:
    if len(Chem.GetMolFrags(mol)) != 1:
        return "several fragments"
    if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return "radical"
    if Chem.GetFormalCharge(mol) != charge:
        return "net charge"
    return ""


def _atoms_at(record: Record) -> Chem.Mol:
    """The atoms with their positions, and no bonds."""
    mol = Chem.RWMol()
    for atomic_number in record.atomic_numbers.tolist():
        atom = Chem.Atom(atomic_number)
        atom.SetNoImplicit(True)  # a missing hydrogen is a fault, not to be made up for
        mol.AddAtom(atom)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(record.pos, dtype=np.float64))
    mol.AddConformer(conformer)
    return mol.GetMol()


def _bond_rows(mol: Chem.Mol) -> list[tuple[int, int, int]]:
    rows = []
    for bond in mol.GetBonds():
        begin, end = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        rows.append((begin, end, BOND_CLASSES[bond.GetBondType()]))
    return sorted(rows)
