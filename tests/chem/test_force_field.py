"""The force field mends lengths, keeps near what it was given, and knows no directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from molgen.chem.force_field import relaxed_pos
from molgen.chem.molecule import Molecule

from .builders import STORE, molecule

REAL = [STORE[index] for index in (20, 90, 150, 210, 260)]


def with_pos(molecule: Molecule, pos: NDArray[np.floating]) -> Molecule:
    return replace(molecule, pos=pos.astype(np.float32))


def shaken(molecule: Molecule, noise: float = 0.1) -> Molecule:
    """The molecule with its atoms displaced, in Å."""
    rng = np.random.default_rng(molecule.n_atoms)
    return with_pos(molecule, molecule.pos + rng.normal(scale=noise, size=molecule.pos.shape))


def relaxed(
    molecule: Molecule, restraint: float = 10.0, fixed: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    pos = relaxed_pos(molecule, 200, restraint, fixed)
    assert pos is not None
    return pos


def lengths(molecule: Molecule, pos: NDArray[np.floating]) -> NDArray[np.floating]:
    begin, end, _ = molecule.bonds.T
    return np.linalg.norm(pos[begin] - pos[end], axis=1)


def rmsd(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.square(one - other).sum(axis=1).mean()))


@pytest.mark.parametrize("real", REAL)
def test_stretched_bonds_mend(real: Molecule) -> None:
    stretched = with_pos(real, 1.15 * real.pos)
    truth = lengths(real, real.pos)
    before = np.abs(lengths(real, stretched.pos) - truth).mean()
    assert np.abs(lengths(real, relaxed(stretched)) - truth).mean() < 0.25 * before


@pytest.mark.parametrize("real", REAL)
def test_a_restraint_keeps_atoms_nearer(real: Molecule) -> None:
    start = shaken(real)
    held, gently, free = (rmsd(relaxed(start, force), start.pos) for force in (100.0, 10.0, 0.0))
    assert held < gently < free


@pytest.mark.parametrize("real", REAL)
def test_the_result_lies_over_the_start(real: Molecule) -> None:
    """No net translation and, to first order, no net rotation: sum of p x q is 0."""
    start = shaken(real)
    after, before = relaxed(start), start.pos.astype(np.float64)
    assert np.abs(after.mean(axis=0) - before.mean(axis=0)).max() < 1e-6
    centred = before - before.mean(axis=0)
    assert np.abs(np.cross(centred, after - after.mean(axis=0)).sum(axis=0)).max() < 1e-4


@pytest.mark.parametrize("real", REAL)
def test_a_turned_molecule_relaxes_alike(real: Molecule) -> None:
    start, turn = shaken(real), Rotation.from_rotvec([0.3, -1.1, 2.0])
    shift = np.array([3.0, -2.0, 1.0])
    turned = with_pos(start, turn.apply(start.pos) + shift)
    expected = turn.apply(relaxed(start)) + shift
    assert np.abs(relaxed(turned) - expected).max() < 1e-3


@pytest.mark.parametrize("real", REAL)
def test_fixed_atoms_do_not_move(real: Molecule) -> None:
    start, fixed = shaken(real), (0, 1, 2)
    after = relaxed(start, fixed=fixed)
    assert np.array_equal(after[:3].astype(np.float32), start.pos[:3])
    assert np.abs(after[3:] - start.pos[3:]).max() > 0.01


def test_what_has_no_force_field_has_no_positions() -> None:
    radical = molecule("O H", [(0, 1, 1)])
    apart = molecule("O H H O H H", [(0, 1, 1), (0, 2, 1), (3, 4, 1), (3, 5, 1)])
    nowhere = with_pos(REAL[0], np.full_like(REAL[0].pos, np.nan))
    none = replace(radical, atomic_numbers=radical.atomic_numbers[:0], pos=radical.pos[:0])
    none = replace(none, formal_charge=none.formal_charge[:0], bonds=none.bonds[:0])
    assert [relaxed_pos(one, 200, 10.0) for one in (radical, apart, nowhere, none)] == [None] * 4


@pytest.mark.parametrize("fixed", [(), (0,)])
def test_the_molecule_stays_as_it_was(fixed: tuple[int, ...]) -> None:
    start = shaken(REAL[0])
    names = ("atomic_numbers", "pos", "formal_charge", "bonds")
    before = {name: getattr(start, name).copy() for name in names}
    assert not np.allclose(relaxed(start, fixed=fixed), start.pos)
    for name, value in before.items():
        assert np.array_equal(getattr(start, name), value)
