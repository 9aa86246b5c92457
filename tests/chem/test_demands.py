"""Results are checked for what was asked: the scaffold is there, and nothing is overlapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molgen.chem.demands import CLASH, SAME_PLACE, Demands
from molgen.chem.given import has_open_valence
from molgen.chem.molecule import Molecule
from molgen.chem.read import read_records

CASES = Path(__file__).parent.parent / "cases"


def pyridine() -> tuple[Molecule, Demands]:
    (record,) = read_records(CASES / "pyridine_site.sdf")
    molecule = record.molecule
    assert molecule is not None
    return molecule, Demands(molecule.atomic_numbers, molecule.pos, molecule.bonds)


def test_a_scaffold_is_found_wherever_its_atoms_stand_in_the_list() -> None:
    molecule, demands = pyridine()
    order = np.arange(molecule.n_atoms)[::-1]
    shuffled = Molecule(
        molecule.atomic_numbers[order],
        molecule.pos[order],
        molecule.formal_charge[order],
        (molecule.n_atoms - 1 - molecule.bonds[:, [1, 0]]).astype(np.int16),
    )
    shuffled = replace(
        shuffled, bonds=np.column_stack([shuffled.bonds, molecule.bonds[:, 2]]).astype(np.int16)
    )
    assert demands.fault(molecule) == demands.fault(shuffled) == ""


@pytest.mark.parametrize("off", [0.9, 1.1])
def test_a_scaffold_is_lost_with_an_atom_or_a_bond(off: float) -> None:
    molecule, demands = pyridine()
    assert demands.fault(replace(molecule, bonds=molecule.bonds[1:])).startswith("scaffold lost: b")
    pos = molecule.pos.copy()
    pos[0, 0] += off * SAME_PLACE
    assert bool(demands.fault(replace(molecule, pos=pos))) == (off > 1)


@pytest.mark.parametrize("off", [0.99, 1.01])
def test_a_clash_is_between_heavy_atoms(off: float) -> None:
    molecule, _ = pyridine()
    heavy = molecule.pos[molecule.atomic_numbers > 1]
    outermost = heavy[heavy[:, 0].argmax()].astype(float)
    wall = Demands(off=outermost[None] + [[off * CLASH, 0.0, 0.0]])
    only = Molecule(
        molecule.atomic_numbers[:0],
        molecule.pos[:0],
        molecule.formal_charge[:0],
        molecule.bonds[:0],
    )
    single = replace(
        only,
        atomic_numbers=np.array([6, 1], dtype=np.uint8),
        pos=np.array([outermost, outermost + np.array([1.0, 0, 0])], dtype=np.float32),
        formal_charge=np.zeros(2, dtype=np.int8),
    )
    assert wall.fault(single).startswith("clash: 2.4") == (off < 1)
    assert wall.fault(only) == ""


def test_open_valences() -> None:
    for name, expected in (("pyridine_site.sdf", True), ("drugs2.sdf", False)):
        mol = next(iter(read_records(CASES / name))).mol
        assert mol is not None
        assert has_open_valence(mol) == expected
