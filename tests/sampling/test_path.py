"""Matching two molecules and walking from one to the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from molgen.checkpoint import LoadedModel, load_model
from molgen.chem.molecule import Molecule
from molgen.errors import UsageError
from molgen.sampling.editing.matching import matched_molecule
from molgen.sampling.editing.originals import Original
from molgen.sampling.editing.path import MoleculePath
from molgen.sampling.editing.requests import PathRequest
from molgen.sampling.run import Sample, Tally

CHIRAL = np.array(
    [[0, 0, 0], [1.1, 0, 0], [-0.4, 1.4, 0], [-0.4, -0.6, 1.2], [-0.5, -0.7, -1.3]], dtype=float
)
ELEMENTS = np.array([6, 1, 9, 8, 7], dtype=np.uint8)


@pytest.fixture(scope="module")
def loaded(tiny_weights: Path) -> LoadedModel:
    return load_model(tiny_weights, "cpu")


def molecule(pos: np.ndarray, elements: np.ndarray = ELEMENTS) -> Molecule:
    """A centre with four neighbours."""
    n = len(elements)
    centre = int(np.flatnonzero(elements == 6)[0])
    rows = [sorted((centre, i)) for i in range(n) if i != centre]
    bonds = np.array([[*row, 1] for row in sorted(rows)], dtype=np.int16)
    return Molecule(elements, pos.astype(np.float32), np.zeros(n, dtype=np.int8), bonds)


def walked(loaded: LoadedModel, first: Molecule, second: Molecule, **options: int) -> list[Sample]:
    ends = (Original("a", first), Original("b", second))
    run = MoleculePath(loaded, PathRequest(**options), ends)
    return list(run.stream(Tally()))


@given(st.permutations(range(5)), st.integers(0, 2**31))
def test_a_turned_and_relabelled_copy_is_found(order: list[int], seed: int) -> None:
    turn = Rotation.random(rng=np.random.default_rng(seed))
    first = molecule(CHIRAL)
    second = molecule(turn.apply(CHIRAL[order]) + 5, ELEMENTS[order])
    found = matched_molecule(first, second)
    assert np.allclose(found.pos, first.pos, atol=1e-4)
    assert np.array_equal(found.atomic_numbers, first.atomic_numbers)
    assert np.array_equal(found.bonds, first.bonds)


def test_a_mirror_image_stays_one() -> None:
    first, second = molecule(CHIRAL), molecule(CHIRAL * [1, 1, -1])
    found = matched_molecule(first, second)
    handed = [np.linalg.det(one.pos[[1, 2, 3]] - one.pos[0]) for one in (first, found)]
    assert np.array_equal(found.atomic_numbers, first.atomic_numbers)
    assert handed[0] * handed[1] < 0


def test_one_atom_matches() -> None:
    one = Molecule(
        np.array([9], dtype=np.uint8),
        np.ones((1, 3), dtype=np.float32),
        np.zeros(1, dtype=np.int8),
        np.zeros((0, 3), dtype=np.int16),
    )
    assert np.array_equal(matched_molecule(one, one).pos, one.pos)


def test_frames_begin_and_end_at_the_given_molecules(loaded: LoadedModel) -> None:
    """Whatever the network, an inversion that converges leads back."""
    first, second = molecule(CHIRAL + 3), molecule(CHIRAL * 1.1)
    frames = walked(loaded, first, second, frames=4, steps=3)
    assert [one.index for one in frames] == [0, 1, 2, 3]
    alone = walked(loaded, first, first, frames=2, steps=3)
    assert np.abs(frames[0].raw.pos - alone[0].raw.pos).max() < 1e-4
    assert np.allclose(frames[0].raw.pos.mean(axis=0), first.pos.mean(axis=0), atol=1e-3)


def test_a_path_can_start_anywhere(loaded: LoadedModel) -> None:
    ends = (Original("a", molecule(CHIRAL)), Original("b", molecule(CHIRAL * 1.1)))
    run = MoleculePath(loaded, PathRequest(frames=4, steps=2), ends)
    whole, late = list(run.stream(Tally())), list(run.stream(Tally(), first=2))
    assert [one.index for one in late] == [2, 3]
    for one, other in zip(whole[2:], late, strict=True):
        assert np.array_equal(one.raw.pos, other.raw.pos)


def test_different_sizes_are_named(loaded: LoadedModel) -> None:
    small = molecule(CHIRAL[:3], ELEMENTS[:3])
    with pytest.raises(UsageError, match="a has 5 atoms and b has 3"):
        walked(loaded, molecule(CHIRAL), small)


@pytest.mark.slow
def test_the_shipped_model_leads_back_to_real_molecules(sample_sdf: Path) -> None:
    from itertools import combinations

    from molgen.chem.constitution import constitution
    from molgen.chem.mol import build_mol
    from molgen.sampling.editing.originals import read_originals

    loaded = load_model("qm9", "cpu")
    found = read_originals(loaded.info, sample_sdf)
    pairs = (
        (one, other)
        for one, other in combinations(found, 2)
        if one.molecule.n_atoms == other.molecule.n_atoms
    )
    for ends in (next(pairs), next(pairs)):
        run = MoleculePath(loaded, PathRequest(frames=2), ends)
        for end, frame in zip(ends, run.stream(Tally()), strict=True):
            assert constitution(frame.mol) == constitution(build_mol(end.molecule).mol)
            apart = matched_molecule(frame.molecule, end.molecule).pos - frame.molecule.pos
            assert np.sqrt(np.square(apart).sum(axis=1).mean()) < 0.1
