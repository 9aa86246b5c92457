from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molgen.chem.molecule import Molecule
from molgen.metrics.distribution import atom_counts, element_counts, total_variation
from molgen.metrics.geometry import (
    bond_angles,
    bond_lengths,
    radii_of_gyration,
    ring_counts,
    ring_sizes,
    transport,
    wasserstein,
)

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


def test_rings_are_counted_per_molecule(real: list[Molecule]) -> None:
    counts = ring_counts([WATER, *real])
    assert sum(counts.values()) == 1 + len(real)
    assert sum(n * times for n, times in counts.items()) == sum(ring_sizes(real).values())
    for molecule in real:
        # As many as there are more bonds than a tree of the same atoms has.
        assert ring_counts([molecule]) == {len(molecule.bonds) - molecule.n_atoms + 1: 1}


def test_radii_of_gyration(real: list[Molecule]) -> None:
    pair = replace(WATER, pos=np.array([[0, 0, 3], [0, 0, 0], [0, 0, 0]], np.float32))
    assert radii_of_gyration([pair, NO_ATOMS]) == pytest.approx([np.sqrt(2)])
    others = [moved(molecule, seed) for seed, molecule in enumerate(real)]
    radii = radii_of_gyration(real)
    assert radii_of_gyration(others) == pytest.approx(radii, rel=1e-5)
    assert wasserstein(radii + 0.1, radii) == pytest.approx(0.1)
    assert wasserstein(radii[:19], radii) is None
