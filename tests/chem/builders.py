"""Small molecules and beliefs for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import ATOMIC_NUMBERS, N_BOND_CLASSES, QM9, Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix, bonds_of_matrix
from molgen.data.store import MoleculeStore

STORE = MoleculeStore.open(Path(__file__).resolve().parents[2] / "data" / "sample")
"""Some hundred real molecules of QM9."""

CHARGED = [i for i in range(len(STORE)) if STORE[i].formal_charge.any()]
AROMATIC_ONES = [i for i in range(len(STORE)) if (STORE[i].bonds[:, 2] == 4).any()]

molecules = st.integers(0, len(STORE) - 1).map(lambda index: STORE[index])
"""A real molecule."""


def molecule(
    symbols: str, bonds: Sequence[tuple[int, int, int]], charges: dict[int, int] | None = None
) -> Molecule:
    """A molecule from element symbols such as ``"O H H"``, on an arbitrary spread-out geometry."""
    numbers = [ATOMIC_NUMBERS[symbol] for symbol in symbols.split()]
    charge = np.zeros(len(numbers), dtype=np.int8)
    for atom, value in (charges or {}).items():
        charge[atom] = value
    pos = np.random.default_rng(0).normal(scale=2.0, size=(len(numbers), 3))
    return Molecule(
        np.array(numbers, dtype=np.uint8),
        pos.astype(np.float32),
        charge,
        np.array(bonds, dtype=np.int16).reshape(-1, 3),
    )


def ring(symbols: str, n_ring: int, hydrogens: Sequence[int]) -> Molecule:
    """An aromatic ring with one hydrogen on each of the listed ring atoms."""
    around = [(min(i, j), max(i, j), 4) for i, j in ((i, (i + 1) % n_ring) for i in range(n_ring))]
    n_heavy = len(symbols.split())
    spokes = [(atom, n_heavy + k, 1) for k, atom in enumerate(hydrogens)]
    return molecule(" ".join([symbols, *"H" * len(hydrogens)]), around + spokes)


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(normal, dtype=np.float32)


def noisy_beliefs(
    truth: Molecule, noise: float, rng: np.random.Generator, certainty: float = 6.0
) -> Beliefs:
    """Beliefs whose logits favour the truth by ``certainty``, plus Gaussian noise."""
    n = truth.n_atoms
    element = np.equal.outer(truth.atomic_numbers, np.array(QM9.atomic_numbers)) * certainty
    charge = np.equal.outer(truth.formal_charge, np.array(QM9.charges)) * certainty
    bond = np.equal.outer(bond_matrix(truth), np.arange(N_BOND_CLASSES)) * certainty
    bond_noise = rng.normal(scale=noise, size=(n, n, N_BOND_CLASSES))
    return Beliefs(
        QM9,
        truth.pos,
        log_softmax(element + rng.normal(scale=noise, size=element.shape)),
        log_softmax(charge + rng.normal(scale=noise, size=charge.shape)),
        log_softmax(bond + (bond_noise + bond_noise.transpose(1, 0, 2)) / np.sqrt(2)),
    )


def random_beliefs(n: int, rng: np.random.Generator, vocabulary: Vocabulary = QM9) -> Beliefs:
    """Beliefs without any truth behind them."""
    bond = rng.normal(scale=2.0, size=(n, n, N_BOND_CLASSES))
    return Beliefs(
        vocabulary,
        rng.normal(scale=2.0, size=(n, 3)).astype(np.float32),
        log_softmax(rng.normal(scale=2.0, size=(n, vocabulary.n_elements))),
        log_softmax(rng.normal(scale=2.0, size=(n, vocabulary.n_charges))),
        log_softmax(bond + bond.transpose(1, 0, 2)),
    )


def permuted(beliefs: Beliefs, order: NDArray[np.int64]) -> Beliefs:
    """The same beliefs with the atoms in another order."""
    return Beliefs(
        beliefs.vocabulary,
        beliefs.pos[order],
        beliefs.element_log_prob[order],
        beliefs.charge_log_prob[order],
        beliefs.bond_log_prob[np.ix_(order, order)],
    )


def reordered(molecule: Molecule, order: NDArray[np.int64]) -> Molecule:
    """The same molecule with the atoms in another order."""
    return Molecule(
        molecule.atomic_numbers[order],
        molecule.pos[order],
        molecule.formal_charge[order],
        bonds_of_matrix(bond_matrix(molecule)[np.ix_(order, order)]),
    )


def same_graph(one: Molecule, other: Molecule) -> bool:
    return (
        np.array_equal(one.atomic_numbers, other.atomic_numbers)
        and np.array_equal(one.formal_charge, other.formal_charge)
        and np.array_equal(bond_matrix(one), bond_matrix(other))
    )
