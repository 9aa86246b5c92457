"""What distances say of bonds: the counts, their file, and what they do to beliefs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.chem import distances
from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import Decoder, decode_map
from molgen.chem.distances import BIN, N_BINS, NEAREST, DistanceStatistics, bins_of
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.chem.joint import decode_joint
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.data.distances import shipped_distances
from molgen.errors import DataError

from .builders import (
    AROMATIC_ONES,
    STORE,
    molecules,
    noisy_beliefs,
    permuted,
    random_beliefs,
    same_graph,
)

seeds = st.integers(0, 2**32 - 1)


QM9_DISTANCES = DistanceStatistics.load(
    Path(distances.__file__).parents[1] / "reference" / "qm9_distances.npz"
)


def with_distances(beliefs: Beliefs) -> Beliefs:
    return distances.with_distances(beliefs, QM9_DISTANCES)


def ignorant(truth: Molecule) -> Beliefs:
    """Sure of elements and charges, without an idea of the bonds."""
    sure = noisy_beliefs(truth, 0.0, np.random.default_rng(0))
    return replace(sure, bond_log_prob=np.full_like(sure.bond_log_prob, -np.log(N_BOND_CLASSES)))


def test_distances_alone_tell_most_bonds_of_real_molecules() -> None:
    right = []
    for index in range(0, len(STORE), 5):
        truth = STORE[index]
        upper = np.triu_indices(truth.n_atoms, 1)
        said = with_distances(ignorant(truth)).bond_log_prob.argmax(axis=2)
        right.append(((said > 0) == (bond_matrix(truth) > 0))[upper])
    assert np.concatenate(right).mean() > 0.999


@pytest.mark.parametrize(("length", "order"), [(1.52, 1), (1.335, 2), (1.205, 3), (2.5, 0)])
def test_two_carbons_have_the_bond_of_their_distance(length: float, order: int) -> None:
    pos = np.array([[0, 0, 0], [0, 0, length]], np.float32)
    carbons = replace(random_beliefs(2, np.random.default_rng(0)), pos=pos)
    carbons.element_log_prob[:] = np.log([0.01, 0.96, 0.01, 0.01, 0.01])
    carbons.bond_log_prob[:] = -np.log(N_BOND_CLASSES)
    assert with_distances(carbons).bond_log_prob[0, 1].argmax() == order


def test_an_undecided_search_follows_the_distances() -> None:
    recovered = [
        np.array_equal(bond_matrix(decoded) > 0, bond_matrix(truth) > 0)
        for truth in (STORE[i] for i in range(0, len(STORE), 20) if i not in AROMATIC_ONES)
        if (decoded := decode_joint(with_distances(ignorant(truth)))) is not None
    ]
    assert np.mean(recovered) > 0.9


@given(molecules, seeds)
@settings(max_examples=20)
def test_the_order_of_atoms_does_not_matter(truth: Molecule, seed: int) -> None:
    rng = np.random.default_rng(seed)
    beliefs, order = noisy_beliefs(truth, 2.0, rng), rng.permutation(truth.n_atoms)
    one, other = permuted(with_distances(beliefs), order), with_distances(permuted(beliefs, order))
    np.testing.assert_array_equal(one.bond_log_prob, other.bond_log_prob)
    np.testing.assert_array_equal(other.bond_log_prob, other.bond_log_prob.swapaxes(0, 1))


def test_what_is_impossible_stays_so() -> None:
    beliefs = random_beliefs(5, np.random.default_rng(1))
    beliefs.bond_log_prob[:, :, 3] = -np.inf
    beliefs.element_log_prob[2, 1:] = -np.inf
    seen = with_distances(beliefs)
    assert (seen.bond_log_prob[:, :, 3] == -np.inf).all()
    assert (seen.element_log_prob[2, 1:] == -np.inf).all()
    assert np.isfinite(seen.bond_log_prob[:, :, :3]).all()


def test_broken_positions_are_far_apart_and_elements_without_counts_say_nothing() -> None:
    pos = np.array([[0, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0]], np.float32)
    assert (bins_of(pos)[~np.eye(3, dtype=bool)] == N_BINS).all()
    silicon = Vocabulary((6, 14), (0,))
    beliefs = random_beliefs(4, np.random.default_rng(2), silicon)
    beliefs.element_log_prob[:] = [-5.0, 0.0]
    change = with_distances(beliefs).bond_log_prob - beliefs.bond_log_prob
    np.testing.assert_allclose(change, np.broadcast_to(change[..., :1], change.shape), atol=1e-5)


def test_densities_add_up_and_a_bond_never_seen_is_unlikely_everywhere() -> None:
    place = round((1.5 - NEAREST) / BIN)
    counts = np.zeros((1, 1, N_BOND_CLASSES, N_BINS + 1), dtype=np.int64)
    counts[0, 0, 1, place] = 1000
    log_density = DistanceStatistics((6,), counts).log_density(Vocabulary((6,), (0,)))[0, 0]
    total = np.exp(log_density[:, :N_BINS]).sum(axis=-1)
    np.testing.assert_allclose(total, [1 / 1001, 1, 1 / 1001, 1 / 1001, 1 / 1001], rtol=1e-6)
    assert log_density[1].argmax() == place
    assert (log_density[2] <= log_density[1]).all()


def test_counts_survive_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(9, size=(2, 2, N_BOND_CLASSES, N_BINS + 1))
    counted = DistanceStatistics((1, 6), counts + counts.swapaxes(0, 1), 0.2, 0.5, 3.0)
    counted.save(tmp_path / "some.npz")
    read = DistanceStatistics.load(tmp_path / "some.npz")
    assert read == counted
    assert hash(read) == hash(pickle.loads(pickle.dumps(counted)))  # noqa: S301
    assert read != replace(counted, charge_weight=1.0)
    with pytest.raises(DataError, match="not a readable table"):
        DistanceStatistics.load(tmp_path / "none.npz")


def test_the_weights_of_the_heads_are_those_that_were_fitted() -> None:
    beliefs = random_beliefs(6, np.random.default_rng(4))
    seen = with_distances(beliefs)
    np.testing.assert_allclose(seen.element_log_prob, 0.7 * beliefs.element_log_prob, rtol=1e-6)
    np.testing.assert_allclose(seen.charge_log_prob, 4.0 * beliefs.charge_log_prob, rtol=1e-6)
    spike = np.zeros((1, 1, N_BOND_CLASSES, N_BINS + 1), dtype=np.int64)
    spike[0, 0, 1, 100] = 10**6
    widened = replace(QM9_DISTANCES, atomic_numbers=(6,), counts=spike)
    density = np.exp(widened.log_density(Vocabulary((6,), (0,)))[0, 0, 1, :N_BINS])
    spread = np.sqrt(density @ np.square(BIN * (np.arange(N_BINS) - 100)))
    assert spread == pytest.approx(0.1, rel=0.01)


def test_misplaced_neighbours_rarely_make_charged_atoms() -> None:
    """Neutral molecules whose atoms are a quarter of an Å off; at weight 1, 7 of 40 have some."""
    charged, decode = [], Decoder("geometry", 0, QM9_DISTANCES)
    for index in range(0, 280, 7):
        rng = np.random.default_rng(index // 7)
        truth = STORE[index]
        if truth.formal_charge.any():
            continue
        pos = truth.pos + rng.normal(scale=0.25, size=truth.pos.shape).astype(np.float32)
        beliefs = replace(noisy_beliefs(truth, 1.0, rng, certainty=3.0), pos=pos)
        decoded = decode(beliefs)
        charged.append(bool(decoded.formal_charge.any()))
    assert np.mean(charged) < 0.13


def test_counting_molecules_is_counting_their_pairs() -> None:
    some = [STORE[k] for k in range(12)]
    counted = DistanceStatistics.count(some, (6, 1, 8))
    assert counted.atomic_numbers == (1, 6, 8)
    np.testing.assert_array_equal(counted.counts, counted.counts.swapaxes(0, 1))
    n_known = [int(np.isin(one.atomic_numbers, (1, 6, 8)).sum()) for one in some]
    assert counted.counts.sum() == sum(n * (n - 1) for n in n_known)
    single = sum(
        int(((one.bonds[:, 2] == 1) & (one.atomic_numbers[one.bonds[:, :2]] == 6).all(1)).sum())
        for one in some
    )
    assert counted.counts[1, 1, 1].sum() == 2 * single


def test_without_statistics_the_distances_have_no_say() -> None:
    beliefs = noisy_beliefs(STORE[3], 1.5, np.random.default_rng(2))
    assert same_graph(Decoder("geometry")(beliefs), decode_map(beliefs))
    assert shipped_distances("qm9") == QM9_DISTANCES
    assert shipped_distances("no such data") is None
