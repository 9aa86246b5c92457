from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem.molecule import Molecule
from molgen.eval.distribution import atom_counts, element_counts, total_variation
from molgen.eval.geometry import bond_angles, bond_lengths, ring_sizes, transport

from .builders import NO_ATOMS, TWO_WATERS, WATER, moved

weights = st.dictionaries(st.integers(0, 9), st.integers(1, 100), min_size=1)


@given(weights, weights, weights)
def test_total_variation_is_a_metric(
    a: dict[int, int], b: dict[int, int], c: dict[int, int]
) -> None:
    assert total_variation(a, a) == 0
    assert total_variation(a, b) == pytest.approx(total_variation(b, a))
    assert 0 <= total_variation(a, b) <= 1 + 1e-12
    assert total_variation(a, c) <= total_variation(a, b) + total_variation(b, c) + 1e-12


def test_total_variation_of_nothing_is_undefined() -> None:
    assert total_variation({}, {1: 1}) is None


def test_counts() -> None:
    molecules = [WATER, TWO_WATERS, NO_ATOMS]
    assert atom_counts(molecules) == {0: 1, 3: 1, 6: 1}
    assert element_counts(molecules) == {1: 6, 8: 3}
    assert element_counts([]) == {}


def test_lengths_and_angles_of_water() -> None:
    lengths = bond_lengths([WATER])
    assert list(lengths) == [(1, 8, 1)]
    assert lengths[1, 8, 1] == pytest.approx([0.96, np.hypot(0.24, 0.93)], abs=1e-6)
    expected = np.degrees(np.arccos(-0.24 / np.hypot(0.24, 0.93)))
    assert bond_angles([WATER])[8] == pytest.approx([expected], abs=1e-4)


def test_transport_of_a_shift_is_the_shift(real: list[Molecule]) -> None:
    lengths = bond_lengths(real)
    longer = {kind: values + 0.01 for kind, values in lengths.items()}
    found = transport(longer, lengths)
    assert found.mean == pytest.approx(0.01)
    assert found.coverage > 0.98
    assert transport(lengths, lengths).mean == 0


def test_transport_needs_enough_values() -> None:
    lengths = bond_lengths([WATER])
    assert transport(lengths, lengths).mean is None
    assert transport(lengths, lengths).coverage == 0


def test_shapes_do_not_depend_on_the_frame(real: list[Molecule]) -> None:
    others = [moved(molecule, seed) for seed, molecule in enumerate(real)]
    assert transport(bond_lengths(others), bond_lengths(real)).mean < 1e-5
    assert transport(bond_angles(others), bond_angles(real)).mean < 1e-2
    assert ring_sizes(others) == ring_sizes(real)


def test_ring_sizes_of_real_molecules(real: list[Molecule]) -> None:
    sizes = ring_sizes(real)
    assert min(sizes) == 3
    assert sum(sizes.values()) > len(real)
