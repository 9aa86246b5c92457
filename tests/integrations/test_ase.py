"""Conversion to ASE."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.integrations.ase import to_ase


def glycine() -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles("[NH3+]CC(=O)[O-]"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("molgen_model", "qm9")
    return mol


def test_atoms_carry_positions_charges_and_tags() -> None:
    mol = glycine()
    atoms = to_ase(mol)
    assert atoms.get_chemical_symbols() == [atom.GetSymbol() for atom in mol.GetAtoms()]
    assert np.array_equal(atoms.positions, mol.GetConformer().GetPositions())
    assert atoms.get_initial_charges().tolist() == [a.GetFormalCharge() for a in mol.GetAtoms()]
    assert atoms.info["smiles"] == "[NH3+]CC(=O)[O-]"
    assert atoms.info["molgen_model"] == "qm9"


def test_many_molecules_make_a_list() -> None:
    assert [len(atoms) for atoms in to_ase([glycine(), glycine()])] == [10, 10]
    assert to_ase([]) == []
