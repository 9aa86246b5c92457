from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.chem.molecule import Molecule
from molgen.metrics.agreement import check_graph, graphs_agree
from molgen.metrics.perception import perceive

from .builders import HYDROXYL, NO_ATOMS, TWO_WATERS, WATER, moved, noisy


def test_real_graphs_agree(real: list[Molecule]) -> None:
    agree = [graphs_agree(check_graph(m), perceive(m)) for m in real]
    assert np.mean(agree) >= 0.97


def test_a_perfect_graph_over_a_hopeless_geometry_does_not_agree(real: list[Molecule]) -> None:
    for molecule in noisy(real[100:110], 1.0):
        assert check_graph(molecule).is_valid
        assert not graphs_agree(check_graph(molecule), perceive(molecule))


def test_two_invalid_answers_do_not_agree() -> None:
    assert not graphs_agree(check_graph(TWO_WATERS), perceive(TWO_WATERS))


def by_element(molecule: Molecule) -> Molecule:
    """The same molecule with its atoms sorted by atomic number."""
    order = np.argsort(molecule.atomic_numbers, kind="stable")
    bonds = molecule.bonds.copy()
    bonds[:, :2] = np.sort(np.argsort(order)[bonds[:, :2]], axis=1)
    return Molecule(
        molecule.atomic_numbers[order], molecule.pos[order], molecule.formal_charge[order], bonds
    )


def test_the_graph_of_one_isomer_over_the_geometry_of_another(real: list[Molecule]) -> None:
    graph, geometry = (by_element(m) for m in [m for m in real if m.formula == "C7H10O2"][:2])
    crossed = replace(graph, pos=geometry.pos)
    assert check_graph(crossed).is_valid
    assert perceive(crossed).is_valid
    assert not graphs_agree(check_graph(crossed), perceive(crossed))


@settings(max_examples=30)
@given(index=st.integers(0, 299), seed=st.integers(0, 2**32 - 1))
def test_frame_and_order_do_not_matter(real: list[Molecule], index: int, seed: int) -> None:
    molecule, other = real[index], moved(real[index], seed)
    assert check_graph(other) == check_graph(molecule)


def test_broken_graphs_have_a_reason() -> None:
    ion = replace(WATER, formal_charge=np.array([1, 0, 0], dtype=np.int8))
    for molecule in (TWO_WATERS, HYDROXYL, NO_ATOMS, ion):
        check = check_graph(molecule)
        assert not check.is_valid
        assert check.reason
