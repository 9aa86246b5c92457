"""Internal coordinates and their distance from a reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molgen.chem.molecule import Molecule
from molgen.metrics.shape import shape_distance, shapes_of, torsions


def peroxide(dihedral: float, bond: int = 1) -> Molecule:
    """H-O-O-H with right angles and a given torsion in degrees."""
    angle = np.radians(dihedral)
    pos = [[1, 0, 0], [0, 0, 0], [0, 0, 1.4], [np.cos(angle), np.sin(angle), 1.4]]
    return Molecule(
        atomic_numbers=np.array([1, 8, 8, 1], dtype=np.uint8),
        pos=np.array(pos, dtype=np.float32),
        formal_charge=np.zeros(4, dtype=np.int8),
        bonds=np.array([[0, 1, 1], [1, 2, bond], [2, 3, 1]], dtype=np.int16),
    )


@pytest.mark.parametrize("dihedral", [0.0, 37.0, 90.0, 143.0, 180.0])
def test_a_torsion_is_measured_without_its_sign(dihedral: float) -> None:
    for sign in (1, -1):
        assert torsions([peroxide(sign * dihedral)])[8, 8] == pytest.approx([dihedral], abs=1e-4)


def test_rings_of_three_have_no_torsion() -> None:
    ring = replace(peroxide(60.0), bonds=np.array([[0, 1, 1], [1, 2, 1], [0, 2, 1]], np.int16))
    assert torsions([ring]) == {}


def test_bond_orders_do_not_split_kinds() -> None:
    shapes = shapes_of([peroxide(60.0, 1), peroxide(60.0, 2)])
    assert sorted(shapes.lengths) == [(1, 8), (8, 8)]
    assert shapes.lengths[8, 8] == pytest.approx([1.4, 1.4])
    assert shapes.angles[8] == pytest.approx([90.0] * 4)


def test_distances_are_those_of_the_shift() -> None:
    reference = shapes_of([peroxide(60.0)] * 20)
    same = shape_distance(reference, reference)
    assert (same.lengths, same.angles, same.torsions) == (0, 0, 0)
    other = shape_distance(shapes_of([peroxide(85.0)] * 20), reference)
    assert other.torsions == pytest.approx(25.0, abs=1e-3)
    assert other.lengths == pytest.approx(0.0, abs=1e-6)


def test_exploded_geometries_are_left_out() -> None:
    broken = replace(peroxide(60.0), pos=np.full((4, 3), np.inf, dtype=np.float32))
    reference = shapes_of([peroxide(60.0)] * 20)
    with np.errstate(invalid="ignore"):
        distance = shape_distance(shapes_of([broken] * 20), reference)
    assert distance.lengths is None
