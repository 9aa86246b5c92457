"""Arrays of a molecule and its bond graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem.elements import ATOMIC_NUMBERS, QM9, SYMBOLS
from molgen.chem.molecule import (
    Molecule,
    bond_matrix,
    bonds_of_matrix,
    fragment_labels,
    from_geometry,
    n_fragments,
)

from .builders import molecule, molecules, reordered


@given(molecules)
def test_bond_matrix_and_bond_list_are_inverse(mol: Molecule) -> None:
    matrix = bond_matrix(mol)
    assert np.array_equal(matrix, matrix.T)
    assert sorted(map(tuple, mol.bonds)) == list(map(tuple, bonds_of_matrix(matrix)))


def test_unknown_bond_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="bond classes"):
        bonds_of_matrix(np.full((2, 2), 5))


@given(molecules, st.randoms(use_true_random=False))
def test_fragments_do_not_depend_on_the_order_of_atoms(mol: Molecule, random: object) -> None:
    order = np.array(random.sample(range(mol.n_atoms), mol.n_atoms))  # type: ignore[attr-defined]
    assert n_fragments(mol.n_atoms, reordered(mol, order).bonds) == 1


def test_fragments_are_labelled_by_their_first_atom() -> None:
    two = molecule("O H O H H H", [(0, 1, 1), (2, 3, 1), (2, 4, 1), (0, 5, 1)])
    assert fragment_labels(two.n_atoms, two.bonds) == [0, 0, 2, 2, 2, 0]
    assert n_fragments(0, np.zeros((0, 3), dtype=np.int16)) == 0


@pytest.mark.parametrize(
    ("symbols", "formula"),
    [("C H H H H", "CH4"), ("O H H", "H2O"), ("C C O N H", "C2HNO"), ("N N", "N2"), ("", "")],
)
def test_formula_is_in_hill_order(symbols: str, formula: str) -> None:
    assert molecule(symbols, []).formula == formula


def test_geometry_alone_makes_a_molecule_without_bonds() -> None:
    mol = from_geometry(np.array([8, 1, 1]), np.zeros((3, 3)))
    assert (mol.n_atoms, mol.n_bonds) == (3, 0)
    assert mol.pos.dtype == np.float32


def test_symbols_agree_with_rdkit() -> None:
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    assert list(SYMBOLS) == [table.GetElementSymbol(z) for z in range(119)]
    assert ATOMIC_NUMBERS["Br"] == 35
    assert QM9.symbols == ("H", "C", "N", "O", "F")
