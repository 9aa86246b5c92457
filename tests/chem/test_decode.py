"""Decoding: laws of the joint maximum, and agreement with exhaustive search."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.chem.choices import Choices, choices_of
from molgen.chem.decode import DECODERS, Beliefs, Decoder, decode_argmax, decode_map, is_consistent
from molgen.chem.elements import QM9, Vocabulary
from molgen.chem.joint import decode_joint
from molgen.chem.molecule import Molecule, bond_matrix, n_fragments
from molgen.chem.repair import repair
from molgen.chem.valence import KEKULE_VALENCES

from .builders import (
    CHARGED,
    STORE,
    molecule,
    molecules,
    noisy_beliefs,
    permuted,
    random_beliefs,
    reordered,
    same_graph,
)

seeds = st.integers(0, 2**32 - 1)

IMPLICIT = Vocabulary((6, 6, 6, 7, 7, 8, 8), (-1, 0, 1), (1, 2, 3, 0, 2, 0, 1))
"""Carbon, nitrogen and oxygen with implicit hydrogens."""


def deficit(beliefs: Beliefs, mol: Molecule) -> float:
    """Total deficit of a Kekulé structure, in nats."""
    choices = choices_of(beliefs)
    orders = bond_matrix(mol)
    total = choices.order[np.arange(len(choices.begin)), orders[choices.begin, choices.end]].sum()
    z = [beliefs.vocabulary.atomic_numbers[state.element] for state in choices.states]
    for atom in range(mol.n_atoms):
        wanted = (mol.atomic_numbers[atom], mol.formal_charge[atom], orders[atom].sum())
        here = [(z[k], s.formal_charge, s.valence) for k, s in enumerate(choices.states)]
        total += choices.state[atom, here.index(wanted)]
    return float(total)


def assert_valid_kekule(mol: Molecule) -> None:
    orders = bond_matrix(mol).sum(axis=1)
    for z, charge, order in zip(mol.atomic_numbers, mol.formal_charge, orders, strict=True):
        assert order in KEKULE_VALENCES[int(z), int(charge)]
    assert mol.formal_charge.sum() == 0
    assert n_fragments(mol.n_atoms, mol.bonds) == 1
    assert mol.bonds[:, 2].max(initial=0) <= 3


def kekule(mol: Molecule) -> Molecule:
    """The same molecule with alternating bonds, by RDKit."""
    from rdkit import Chem

    from molgen.chem.mol import build_mol, molecule_of

    rdkit_mol = build_mol(mol).mol
    Chem.Kekulize(rdkit_mol, clearAromaticFlags=True)
    return molecule_of(rdkit_mol)


def best_by_search(beliefs: Beliefs) -> float | None:
    """Deficit of the optimum by trying everything; for up to four atoms."""
    choices = choices_of(beliefs)
    pairs = list(zip(choices.begin.tolist(), choices.end.tolist(), strict=True))
    best = None
    for orders in product(range(4), repeat=len(pairs)):
        degree = [0] * choices.n_atoms
        for (i, j), order in zip(pairs, orders, strict=True):
            degree[i] += order
            degree[j] += order
        atoms = [_cheapest_by_charge(choices, i, degree[i]) for i in range(choices.n_atoms)]
        bonds = np.array([p for p, order in zip(pairs, orders, strict=True) if order])
        if not all(atoms) or n_fragments(choices.n_atoms, bonds.reshape(-1, 2)) != 1:
            continue
        bond_cost = sum(choices.order[k, order] for k, order in enumerate(orders))
        for charges in product(*atoms):
            if sum(charges) == 0:
                total = bond_cost + sum(a[q] for a, q in zip(atoms, charges, strict=True))
                best = total if best is None else min(best, total)
    return best


def _cheapest_by_charge(choices: Choices, atom: int, valence: int) -> dict[int, float]:
    cheapest: dict[int, float] = {}
    for k, state in enumerate(choices.states):
        if state.valence == valence:
            cost = float(choices.state[atom, k])
            charge = state.formal_charge
            cheapest[charge] = min(cost, cheapest.get(charge, np.inf))
    return cheapest


@given(molecules, st.floats(0.5, 2.5), seeds)
def test_the_result_is_a_valid_molecule(truth: Molecule, noise: float, seed: int) -> None:
    beliefs = noisy_beliefs(truth, noise, np.random.default_rng(seed))
    decoded = decode_map(beliefs)
    if is_consistent(decode_argmax(beliefs)):
        assert same_graph(decoded, decode_argmax(beliefs))
    else:
        assert_valid_kekule(decoded)
    assert is_consistent(decoded)
    assert np.array_equal(decoded.pos, truth.pos)


@given(st.integers(2, 6), seeds)
@settings(max_examples=25)
def test_implicit_hydrogens_count_as_bonds(n: int, seed: int) -> None:
    decoded = decode_joint(random_beliefs(n, np.random.default_rng(seed), IMPLICIT))
    if decoded is None:
        return
    assert decoded.hydrogens is not None
    total = bond_matrix(decoded).sum(axis=1) + decoded.hydrogens
    for z, charge, order in zip(decoded.atomic_numbers, decoded.formal_charge, total, strict=True):
        assert order in KEKULE_VALENCES[int(z), int(charge)]
    assert is_consistent(decoded)
    assert not is_consistent(replace(decoded, hydrogens=decoded.hydrogens + 1))


@given(molecules, st.floats(0.5, 1.5), seeds)
def test_nothing_feasible_is_more_probable(truth: Molecule, noise: float, seed: int) -> None:
    beliefs = noisy_beliefs(truth, noise, np.random.default_rng(seed))
    decoded = decode_joint(beliefs)
    assert decoded is not None
    assert deficit(beliefs, decoded) <= deficit(beliefs, kekule(truth)) + 1e-4


@given(molecules, st.floats(1.0, 4.0), st.sampled_from([4, 64, 256]), seeds)
@settings(max_examples=25)
def test_a_proof_holds_against_the_planted_molecule(
    truth: Molecule, noise: float, width: int, seed: int
) -> None:
    beliefs = noisy_beliefs(truth, noise, np.random.default_rng(seed))
    choices = choices_of(beliefs)
    found = repair(choices, width, 3000)
    if found.is_proven:
        assert found.solution is not None
        assert found.solution.deficit(choices) <= deficit(beliefs, kekule(truth)) + 1e-4


@given(
    st.integers(2, 4),
    seeds,
    st.sampled_from([QM9, Vocabulary((1, 8, 15, 16), (-1, 0, 1)), IMPLICIT]),
)
@settings(max_examples=40)
def test_the_search_equals_exhaustive_search(n: int, seed: int, vocabulary: Vocabulary) -> None:
    beliefs = random_beliefs(n, np.random.default_rng(seed), vocabulary)
    choices = choices_of(beliefs)
    expected = best_by_search(beliefs)
    for width, most_nodes in ((2, 1000), (64, 6000), (100_000, 1_000_000)):
        found = repair(choices, width, most_nodes)
        assert found.is_proven or width < 100_000
        if found.is_proven:
            assert (found.solution is None) == (expected is None)
        if found.solution is not None:
            assert expected is not None
            total = found.solution.deficit(choices)
            assert total >= expected - 1e-4
            assert not found.is_proven or total == pytest.approx(expected, abs=1e-4)


@given(molecules, st.floats(0.5, 2.0), seeds)
@settings(max_examples=10)
def test_a_search_never_worsens_what_is_known(truth: Molecule, noise: float, seed: int) -> None:
    choices = choices_of(noisy_beliefs(truth, noise, np.random.default_rng(seed)))
    known = repair(choices, 4, 1000).solution
    if known is not None:
        better = repair(choices, 64, 100, known).solution
        assert better is not None
        assert better.deficit(choices) <= known.deficit(choices)


@given(molecules, st.floats(0.5, 1.5), seeds)
@settings(max_examples=25)
def test_decoding_does_not_depend_on_the_order_of_atoms(
    truth: Molecule, noise: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    beliefs = noisy_beliefs(truth, noise, rng)
    order = rng.permutation(truth.n_atoms)
    assert same_graph(decode_map(permuted(beliefs, order)), reordered(decode_map(beliefs), order))


@given(molecules, seeds)
@settings(max_examples=10)
def test_decoding_twice_gives_the_same(truth: Molecule, seed: int) -> None:
    beliefs = noisy_beliefs(truth, 3.0, np.random.default_rng(seed))
    assert same_graph(decode_map(beliefs), decode_map(beliefs))


def test_a_right_argmax_is_kept_with_its_aromatic_bonds() -> None:
    for index in range(len(STORE)):
        beliefs = noisy_beliefs(STORE[index], 0.0, np.random.default_rng(0))
        assert same_graph(decode_map(beliefs), STORE[index])


def test_one_wrong_atom_or_bond_is_put_right() -> None:
    rng = np.random.default_rng(0)
    for index in [*range(60), *CHARGED]:
        truth = STORE[index]
        beliefs = noisy_beliefs(truth, 0.0, rng)
        atom = int(rng.integers(truth.n_atoms))
        beliefs.element_log_prob[atom] = np.log([0.3, 0.3, 0.1, 0.2, 0.1])
        assert same_graph(kekule(decode_map(beliefs)), kekule(truth)) or (
            deficit(beliefs, kekule(decode_map(beliefs))) <= deficit(beliefs, kekule(truth))
        )


def test_fragments_are_joined() -> None:
    """Two methyl radicals' worth of bonds: ethane needs the one bond that nobody believes in."""
    ethane = molecule(
        "C C H H H H H H",
        [(0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (1, 5, 1), (1, 6, 1), (1, 7, 1)],
    )
    apart = replace(ethane, bonds=ethane.bonds[1:])
    beliefs = noisy_beliefs(apart, 0.0, np.random.default_rng(0))
    assert same_graph(decode_map(beliefs), ethane)

    pair_of_methanes = molecule(
        "C H H H H C H H H H", [(c, c + k, 1) for c in (0, 5) for k in range(1, 5)]
    )
    beliefs = noisy_beliefs(pair_of_methanes, 0.0, np.random.default_rng(0))
    assert_valid_kekule(decode_map(beliefs))


def test_the_charge_is_balanced() -> None:
    ammonium = molecule("N H H H H", [(0, i, 1) for i in range(1, 5)], {0: 1})
    decoded = decode_map(noisy_beliefs(ammonium, 0.0, np.random.default_rng(0)))
    assert_valid_kekule(decoded)
    assert not same_graph(decoded, ammonium)


@pytest.mark.parametrize("symbols", ["H H H", "F H F", "H"])
def test_without_a_solution_the_argmax_is_returned(symbols: str) -> None:
    """Only hydrogen and fluorine are possible, and no such molecule of this size exists."""
    beliefs = noisy_beliefs(molecule(symbols, []), 0.0, np.random.default_rng(0))
    beliefs.element_log_prob[:, 1:4] = -np.inf
    assert decode_joint(beliefs) is None
    assert same_graph(decode_map(beliefs), decode_argmax(beliefs))


def test_beliefs_that_are_not_numbers_do_not_hang() -> None:
    beliefs = noisy_beliefs(STORE[0], 0.0, np.random.default_rng(0))
    broken = replace(beliefs, bond_log_prob=np.full_like(beliefs.bond_log_prob, np.nan))
    assert decode_joint(broken) is None
    assert decode_map(broken).n_atoms == STORE[0].n_atoms


def test_no_atoms() -> None:
    empty = random_beliefs(0, np.random.default_rng(0))
    assert all(Decoder(name)(empty).n_atoms == 0 for name in DECODERS)
