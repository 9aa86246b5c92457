"""Validity by the distance table: does the molecule that the distances describe sanitise?"""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase

from molgen.chem.molecule import Molecule
from molgen.metrics.edm import bond_orders

_BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def edm_smiles(molecule: Molecule) -> str | None:
    """SMILES of the largest fragment of the distance-table molecule, the literature's "valid".

    As in Hoogeboom et al. (ICML 2022): bonds by `molgen.metrics.edm.bond_orders`, no formal
    charges, and RDKit may add implicit hydrogens, so an open valence passes; so does a molecule
    in pieces, by its largest one. It is a weak test, kept because published tables print it.

    Args:
        molecule: Any molecule; its own bonds and charges are not read.

    Returns:
        Canonical SMILES, or None when the molecule is empty, has coordinates that are not finite,
        or does not sanitise.
    """
    if molecule.n_atoms == 0 or not np.isfinite(molecule.pos).all():
        return None
    mol = _distance_mol(molecule)
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(mol)
        except ValueError:
            return None
        fragments = Chem.GetMolFrags(mol, asMols=True)
    smiles: str = Chem.MolToSmiles(max(fragments, key=lambda fragment: fragment.GetNumAtoms()))
    return smiles


def _distance_mol(molecule: Molecule) -> Chem.RWMol:
    mol = Chem.RWMol()
    for atomic_number in molecule.atomic_numbers.tolist():
        mol.AddAtom(Chem.Atom(atomic_number))
    orders = np.triu(bond_orders(molecule.atomic_numbers, molecule.pos))
    for begin, end in np.argwhere(orders).tolist():
        mol.AddBond(begin, end, _BOND_TYPES[int(orders[begin, end])])
    return mol
