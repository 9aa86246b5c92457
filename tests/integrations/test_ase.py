"""Conversion to ASE."""

from __future__ import annotations

import numpy as np
import pytest
from ase.optimize import LBFGS
from ase.units import kcal
from ase.units import mol as per_mole
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.chem.gfn2 import minimum
from molgen.chem.mol import molecule_of
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


@pytest.mark.slow
def test_gfn2_through_an_optimiser_of_ase_finds_the_same_minimum() -> None:
    """As docs/api.md shows it."""
    tblite = pytest.importorskip("tblite.ase")
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    atoms = to_ase(mol)
    charge = round(atoms.get_initial_charges().sum())
    atoms.calc = tblite.TBLite(method="GFN2-xTB", charge=charge, verbosity=0)
    before = atoms.get_potential_energy()
    LBFGS(atoms, logfile=None).run(fmax=0.01, steps=100)
    drop = (before - atoms.get_potential_energy()) / (kcal / per_mole)
    one = molecule_of(mol)
    found = minimum(one.atomic_numbers, one.pos)
    assert drop > 0.5
    assert found.drop == pytest.approx(drop, abs=0.05)
