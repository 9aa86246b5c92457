"""The verdict on a batch is that of the chemistry on each of its molecules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.checkpoint import load_model
from molgen.chem.beliefs import Beliefs
from molgen.chem.decode import decode_argmax, is_consistent
from molgen.chem.elements import AROMATIC, QM9
from molgen.chem.kekule import is_kekulisable
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.sampling.consistency import ValenceTable, Verdict, is_connected, judge
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw_batches

from ..chem.builders import AROMATIC_ONES, CHARGED, STORE, noisy_beliefs  # noqa: TID252

TABLE = ValenceTable.of(QM9)


def judged(molecules: Sequence[Molecule], padding: int = 0) -> Verdict:
    """The verdict on molecules as one batch; what the padding holds must not matter."""
    sizes = np.array([one.n_atoms for one in molecules])
    n = int(sizes.max()) + padding
    rng = np.random.default_rng(0)
    element, charge = rng.integers(5, size=(len(sizes), n)), rng.integers(3, size=(len(sizes), n))
    bond = rng.integers(5, size=(len(sizes), n, n))  # nor what is below the diagonal
    for row, one in enumerate(molecules):
        k = one.n_atoms
        element[row, :k] = np.searchsorted(QM9.atomic_numbers, one.atomic_numbers)
        charge[row, :k] = one.formal_charge + 1
        upper = np.triu_indices(k, 1)
        bond[row, :k, :k][upper] = bond_matrix(one)[upper]
    mask = torch.from_numpy(np.arange(n) < sizes[:, None])
    return judge(TABLE, *map(torch.from_numpy, (element, charge, bond)), mask)


def assert_agrees(molecules: Sequence[Molecule], padding: int = 0) -> None:
    verdict = judged(molecules, padding)
    for one, sound, aromatic, settled in zip(
        molecules, verdict.sound, verdict.aromatic, verdict.settled, strict=True
    ):
        assert bool(aromatic) == bool((one.bonds[:, 2] == AROMATIC).any())
        assert bool(sound and is_kekulisable(one)) == is_consistent(one)
        assert bool(settled) == (is_consistent(one) and not aromatic)


def test_real_molecules() -> None:
    """All of the sample, so that every sort of atom in it has its say."""
    assert CHARGED
    assert AROMATIC_ONES
    molecules = [STORE[index] for index in range(len(STORE))]
    assert_agrees(molecules)
    assert judged(molecules).sound.all()


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.integers(0, 3))
def test_perturbed_molecules(seed: int, noise: float, padding: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = [STORE[int(i)] for i in rng.choice(len(STORE), size=12)]
    beliefs = [noisy_beliefs(one, noise, rng) for one in chosen]
    assert_agrees([decode_argmax(one) for one in beliefs], padding)


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_molecules_with_one_change(seed: int) -> None:
    """Near misses: one bond, one element or one charge differs from a real molecule."""
    rng = np.random.default_rng(seed)
    changed = []
    for index in rng.choice(len(STORE), size=12):
        one = STORE[int(index)]
        matrix, z = bond_matrix(one), one.atomic_numbers.copy()
        charge, (i, j) = one.formal_charge.copy(), sorted(rng.choice(one.n_atoms, 2, replace=False))
        kind = rng.integers(4)
        if kind == 0:
            matrix[i, j] = rng.integers(5)
        elif kind == 1:
            z[i] = rng.choice(QM9.atomic_numbers)
        elif kind == 2:
            charge[i] = rng.integers(-1, 2)
        changed.append(decode_argmax(certain(z, charge, matrix)))
    assert_agrees(changed)


def test_what_the_shipped_model_draws() -> None:
    loaded = load_model("qm9", "cpu")
    plan, n_settled = default_plan(loaded.info, 8), 0
    for batch in draw_batches(loaded, range(32), plan=plan, batch_size=16):
        for row in range(len(batch.sizes)):
            raw = decode_argmax(batch.beliefs(QM9, row))
            is_aromatic = bool((raw.bonds[:, 2] == AROMATIC).any())
            assert bool(batch.settled[row]) == (is_consistent(raw) and not is_aromatic)
            n_settled += int(batch.settled[row])
    assert 0 < n_settled < 32


def certain(z: np.ndarray, charge: np.ndarray, matrix: np.ndarray) -> Beliefs:
    """Beliefs without a doubt; only the upper triangle of the matrix is read."""
    upper = np.triu(matrix, 1)
    hot = [
        np.equal.outer(z, QM9.atomic_numbers),
        np.equal.outer(charge, QM9.charges),
        np.equal.outer(upper + upper.T, np.arange(5)),
    ]
    logs = [np.where(one, 0.0, -9.0).astype(np.float32) for one in hot]
    return Beliefs(QM9, np.zeros((len(z), 3), dtype=np.float32), *logs)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 9, 17, 18, 29, 33])
def test_the_longest_chain_is_connected_and_broken_anywhere_is_not(n: int) -> None:
    whole = torch.zeros(n, n, dtype=torch.bool)
    for atom in range(n - 1):
        whole[atom, atom + 1] = whole[atom + 1, atom] = True
    broken = whole.repeat(max(n - 1, 1), 1, 1)
    for atom in range(n - 1):
        broken[atom, atom, atom + 1] = broken[atom, atom + 1, atom] = False
    mask = torch.ones(1, n, dtype=torch.bool)
    assert is_connected(whole[None], mask).all()
    if n > 1:
        assert not is_connected(broken, mask.expand(len(broken), n)).any()


def test_nothing_is_no_molecule() -> None:
    empty = torch.zeros(2, 3, dtype=torch.long)
    none = torch.zeros(2, 3, dtype=torch.bool)
    verdict = judge(TABLE, empty, empty, torch.zeros(2, 3, 3, dtype=torch.long), none)
    assert not verdict.sound.any()
