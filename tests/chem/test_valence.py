"""The valence tables against real molecules and against RDKit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem.elements import AROMATIC
from molgen.chem.kekule import is_kekulisable
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule, bond_matrix, bonds_of_matrix
from molgen.chem.valence import (
    ALLOWED_BONDS,
    KEKULE_VALENCES,
    bond_counts,
    is_stable,
    stable_atoms,
)

from .builders import AROMATIC_ONES, STORE, molecule, molecules, ring


def without_atom(mol: Molecule, atom: int) -> Molecule:
    keep = np.arange(mol.n_atoms) != atom
    return Molecule(
        mol.atomic_numbers[keep],
        mol.pos[keep],
        mol.formal_charge[keep],
        bonds_of_matrix(bond_matrix(mol)[np.ix_(keep, keep)]),
    )


def test_every_real_molecule_is_stable() -> None:
    assert all(is_stable(STORE[i]) for i in range(len(STORE)))


def test_the_table_covers_what_real_molecules_show() -> None:
    table: Counter[tuple[tuple[int, int], tuple[int, ...]]] = Counter()
    for one in (STORE[i] for i in range(len(STORE))):
        keys = zip(one.atomic_numbers.tolist(), one.formal_charge.tolist(), strict=True)
        table.update(zip(keys, map(tuple, bond_counts(one).tolist()), strict=True))
    assert table[(6, 0), (2, 1)] > 100
    assert all(count in ALLOWED_BONDS[key] for key, count in table)


@given(molecules, st.data())
def test_a_missing_hydrogen_breaks_its_neighbour_only(mol: Molecule, data: st.DataObject) -> None:
    """Save in an aromatic ring, where nitrogen may stand with or without its hydrogen."""
    atom = data.draw(st.sampled_from(np.flatnonzero(mol.atomic_numbers == 1).tolist() or [None]))
    if atom is None:
        return
    neighbour = int(np.flatnonzero(bond_matrix(mol)[atom])[0])
    stable = stable_atoms(without_atom(mol, atom))
    is_pyrrole = mol.atomic_numbers[neighbour] == 7 and AROMATIC in bond_matrix(mol)[neighbour]
    broken = [] if is_pyrrole else [neighbour - (neighbour > atom)]
    assert np.flatnonzero(~stable).tolist() == broken


@pytest.mark.parametrize("key", sorted(KEKULE_VALENCES))
def test_rdkit_accepts_every_kekule_valence_and_finds_no_radical(key: tuple[int, int]) -> None:
    z, charge = key
    for valence in KEKULE_VALENCES[key]:
        centre = molecule(
            " ".join(["*", *["F"] * valence]), [(0, i, 1) for i in range(1, valence + 1)]
        )
        centre.atomic_numbers[0] = z
        centre.formal_charge[0] = charge
        assert build_mol(centre).is_valid


def test_an_aromatic_bond_is_neither_single_nor_double() -> None:
    benzene = ring("C C C C C C", 6, range(6))
    assert is_stable(benzene)
    assert not stable_atoms(ring("C C C C C C", 6, range(5)))[5]


def test_nothing_is_not_stable() -> None:
    assert not is_stable(molecule("", []))


@pytest.mark.parametrize(
    ("mol", "expected"),
    [
        (ring("C C C C C C", 6, range(6)), True),  # benzene
        (ring("N C C C C", 5, range(5)), True),  # pyrrole
        (ring("N C C C C", 5, range(1, 5)), False),  # pyrrole without its hydrogen
        (ring("O C C C C", 5, range(1, 5)), True),  # furan
        (ring("C C C C C", 5, range(5)), False),  # an odd ring of carbon
        (ring("N C C C C C", 6, range(1, 6)), True),  # pyridine
        (molecule("O H H", [(0, 1, 1), (0, 2, 1)]), True),
    ],
)
def test_kekulisable_rings(mol: Molecule, expected: bool) -> None:
    assert is_kekulisable(mol) is expected


@given(st.sampled_from(AROMATIC_ONES), st.data())
def test_kekulisation_agrees_with_rdkit(index: int, data: st.DataObject) -> None:
    """Exchange an aromatic atom's element; where valences still fit, both give one verdict."""
    mol = STORE[index]
    aromatic = np.unique(mol.bonds[mol.bonds[:, 2] == 4, :2])
    changed = mol.atomic_numbers.copy()
    changed[data.draw(st.sampled_from(aromatic.tolist()))] = data.draw(st.sampled_from([6, 7, 8]))
    mol = Molecule(changed, mol.pos, mol.formal_charge, mol.bonds)
    if is_stable(mol):
        assert is_kekulisable(mol) == (build_mol(mol).reason == "")
