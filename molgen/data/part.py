"""A part of a store as flat arrays, with its hydrogens as atoms or as counts on heavy atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import HYDROGEN
from molgen.data.store import MILLI, MoleculeStore, offsets_of
from molgen.errors import DataError

IntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Part:
    """Molecules one after another.

    Attributes:
        n_atoms: ``[M]``.
        n_bonds: ``[M]``.
        n_conformers: ``[M]``.
        atomic_numbers: ``[A]``.
        formal_charge: ``[A]``.
        hydrogens: Implicit hydrogens of every atom, ``[A]``.
        bonds: Both atoms, counted within the molecule, and the class of every bond, ``[E, 3]``.
        pos: All conformers, Å, ``[P, 3]``.
        weight: Of the conformers, ``[C]``.
    """

    n_atoms: IntArray
    n_bonds: IntArray
    n_conformers: IntArray
    atomic_numbers: IntArray
    formal_charge: IntArray
    hydrogens: IntArray
    bonds: IntArray
    pos: NDArray[np.float32]
    weight: NDArray[np.float32]


def read_part(store: MoleculeStore, split: str) -> Part:
    """A split of a store as it is there: hydrogens are atoms.

    Raises:
        DataError: There is no split of this name.
    """
    chosen = store.split(split)
    atoms = runs(store.atom_offsets, chosen)
    places = runs(store.pos_offsets, chosen)
    return Part(
        n_atoms=store.n_atoms[chosen].astype(np.int64),
        n_bonds=store.n_bonds[chosen].astype(np.int64),
        n_conformers=store.n_conformers[chosen].astype(np.int64),
        atomic_numbers=np.asarray(store.atomic_numbers)[atoms],
        formal_charge=np.asarray(store.formal_charge)[atoms],
        hydrogens=np.zeros(len(atoms), np.int64),
        bonds=np.asarray(store.bonds)[runs(store.bond_offsets, chosen)].astype(np.int16),
        pos=np.asarray(store.pos_milli_angstrom)[places].astype(np.float32) / np.float32(MILLI),
        weight=np.asarray(store.conformer_weight)[runs(store.conformer_offsets, chosen)],
    )


def without_hydrogens(part: Part) -> Part:
    """The same molecules as heavy atoms, each with a count of its hydrogens.

    Raises:
        DataError: A hydrogen has no heavy atom, or two bonds.
    """
    first_atom, first_bond = offsets_of(part.n_atoms), offsets_of(part.n_bonds)
    of_bond = np.repeat(first_atom[:-1], part.n_bonds)
    ends = part.bonds[:, :2].astype(np.int64) + of_bond[:, None]
    is_hydrogen = part.atomic_numbers == HYDROGEN
    to_hydrogen = is_hydrogen[ends]  # E 2
    bonded = np.bincount(ends.ravel(), minlength=len(is_hydrogen))
    if to_hydrogen.all(axis=1).any() or (bonded[is_hydrogen] != 1).any():
        raise DataError(
            "a hydrogen of the store is not on one heavy atom",
            "Leave such molecules out, or the key hydrogens out of the specification",
        )
    hydrogens = np.bincount(ends[to_hydrogen[:, ::-1]], minlength=len(is_hydrogen))
    kept_atom, kept_bond = ~is_hydrogen, ~to_hydrogen.any(axis=1)
    n_atoms = np.diff(np.concatenate([[0], np.cumsum(kept_atom)])[first_atom])
    n_bonds = np.diff(np.concatenate([[0], np.cumsum(kept_bond)])[first_bond])
    place = np.cumsum(kept_atom) - 1  # of every atom among all heavy ones
    moved = place[ends[kept_bond]] - np.repeat(offsets_of(n_atoms)[:-1], n_bonds)[:, None]
    bonds = np.concatenate([moved, part.bonds[kept_bond, 2:]], axis=1).astype(np.int16)
    of_conformers = np.repeat(np.arange(len(part.n_atoms)), part.n_conformers)
    return Part(
        n_atoms=n_atoms,
        n_bonds=n_bonds,
        n_conformers=part.n_conformers,
        atomic_numbers=part.atomic_numbers[kept_atom],
        formal_charge=part.formal_charge[kept_atom],
        hydrogens=hydrogens[kept_atom],
        bonds=bonds,
        pos=part.pos[kept_atom[runs(first_atom, of_conformers)]],
        weight=part.weight,
    )


def runs(offsets: IntArray, chosen: IntArray) -> IntArray:
    """Numbers of all rows of the chosen molecules, one after the other."""
    counts = offsets[chosen + 1] - offsets[chosen]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows: IntArray = np.repeat(offsets[chosen], counts) + within
    return rows
