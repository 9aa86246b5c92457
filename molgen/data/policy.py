"""Which molecules a data set takes."""

from __future__ import annotations

from molgen.chem.molecule import Molecule, bond_matrix
from molgen.config.dataset import Dataset


def objection(molecule: Molecule, dataset: Dataset) -> str:
    """Why a data set does not take a molecule, in a few words; empty if it does.

    Args:
        molecule: With bonds.
        dataset: Its elements, charges and sizes.
    """
    if molecule.n_atoms > dataset.max_atoms:
        return f"more than {dataset.max_atoms} atoms"
    if set(molecule.atomic_numbers.tolist()) - set(dataset.atomic_numbers):
        return "an element outside the data set"
    if set(molecule.formal_charge.tolist()) - set(dataset.charges):
        return "a formal charge outside the data set"
    charge = int(molecule.formal_charge.sum())
    if dataset.total_charge is not None and charge != dataset.total_charge:
        return "net charge"
    return "" if _is_connected(molecule) else "several fragments"


def _is_connected(molecule: Molecule) -> bool:
    linked = bond_matrix(molecule) > 0
    reached, edge = {0}, [0]
    while edge:
        for atom in linked[edge.pop()].nonzero()[0].tolist():
            if atom not in reached:
                reached.add(atom)
                edge.append(atom)
    return len(reached) == molecule.n_atoms
