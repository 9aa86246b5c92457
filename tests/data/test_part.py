"""Heavy atoms with counts of hydrogens: what is left out of a store is still known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molgen.chem.atom_classes import implicit_hydrogens
from molgen.chem.elements import HYDROGEN, Vocabulary
from molgen.chem.molecule import Molecule
from molgen.chem.valence import bond_counts, is_stable
from molgen.config.dataset import Dataset, load_dataset
from molgen.data.loader import load_split
from molgen.data.part import Part, read_part, without_hydrogens
from molgen.data.store import MoleculeStore, offsets_of
from molgen.errors import DataError

HEAVY = Vocabulary.of(load_dataset("qm9").model_copy(update={"hydrogens": (0, 4, 4, 3, 1)}))


def molecules_of(part: Part) -> list[Molecule]:
    atoms, bonds = offsets_of(part.n_atoms), offsets_of(part.n_bonds)
    places = offsets_of(part.n_atoms * part.n_conformers)
    return [
        Molecule(
            part.atomic_numbers[a : a + n],
            part.pos[p : p + n],
            part.formal_charge[a : a + n],
            part.bonds[b : b + m],
            part.hydrogens[a : a + n].astype(np.uint8),
        )
        for a, n, b, m, p in zip(atoms, part.n_atoms, bonds, part.n_bonds, places, strict=False)
    ]


def test_the_same_molecules_have_the_same_formula_and_the_same_valences(
    sample: MoleculeStore,
) -> None:
    whole = read_part(sample, "train")
    heavy = without_hydrogens(whole)
    for before, after in zip(molecules_of(whole), molecules_of(heavy), strict=True):
        kept = before.atomic_numbers != HYDROGEN
        assert after.formula == before.formula
        assert np.array_equal(after.pos, before.pos[kept])
        assert np.array_equal(bond_counts(after), bond_counts(before)[kept])
        assert is_stable(after) == is_stable(before)


def test_every_conformer_loses_its_hydrogens(sample: MoleculeStore) -> None:
    one = read_part(sample, "train")
    twice = np.repeat(np.arange(len(one.n_atoms)), 2)
    starts = offsets_of(one.n_atoms)
    rows = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in twice])
    both = replace(
        one,
        n_conformers=2 * one.n_conformers,
        pos=one.pos[rows],
        weight=np.repeat(one.weight / 2, 2),
    )
    heavy, once = without_hydrogens(both), without_hydrogens(one)
    ends = offsets_of(once.n_atoms)
    for k, n in enumerate(once.n_atoms.tolist()):
        first = heavy.pos[2 * ends[k] : 2 * ends[k] + n]
        second = heavy.pos[2 * ends[k] + n : 2 * ends[k] + 2 * n]
        assert np.array_equal(first, second)
        assert np.array_equal(first, once.pos[ends[k] : ends[k] + n])


def test_batches_are_of_heavy_atoms_by_their_classes(sample: MoleculeStore) -> None:
    data = load_split(sample, "train", HEAVY)
    heavy = without_hydrogens(read_part(sample, "train"))
    assert data.n_atoms.tolist() == heavy.n_atoms.tolist()
    assert sum(data.size_counts) == len(heavy.n_atoms)
    classes = data.element[:-1].numpy()
    assert np.array_equal(np.array(HEAVY.atomic_numbers)[classes], heavy.atomic_numbers)
    assert np.array_equal(implicit_hydrogens(HEAVY, classes), heavy.hydrogens)


def test_more_hydrogens_than_the_model_knows_are_an_error(sample: MoleculeStore) -> None:
    few = Vocabulary.of(load_dataset("qm9").model_copy(update={"hydrogens": (0, 2, 4, 3, 1)}))
    with pytest.raises(DataError, match="the store holds CH3, CH4, the model knows C, CH, CH2, N"):
        load_split(sample, "train", few)


def test_a_hydrogen_between_two_atoms_is_an_error(sample: MoleculeStore) -> None:
    whole = read_part(sample, "train")
    loose = replace(whole, n_bonds=np.zeros_like(whole.n_bonds), bonds=whole.bonds[:0])
    with pytest.raises(DataError, match="not on one heavy atom"):
        without_hydrogens(loose)


def test_a_specification_has_a_number_for_each_element_or_none() -> None:
    with pytest.raises(ValueError, match="hydrogens needs a number for each"):
        Dataset(name="x", atomic_numbers=(1, 6), hydrogens=(3,))


def test_drug_like_atoms_are_all_known() -> None:
    names = Vocabulary.of(load_dataset("drugs")).symbols
    assert len(set(names)) == len(names) == 26
    assert {"CH3", "NH3", "OH", "SH", "P", "I"} <= set(names)
    assert "H" not in names
