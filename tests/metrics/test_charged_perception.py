"""Perception of molecules with charges, and of one that needs a second opinion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molgen.chem.molecule import Molecule, from_geometry
from molgen.chem.read import read_records
from molgen.metrics.agreement import check_graph, graphs_agree
from molgen.metrics.evaluate import evaluate
from molgen.metrics.perception import Criterion, perceive, perceive_all

from .builders import NO_ATOMS, NOT_A_NUMBER, WATER

PATH = Path(__file__).parents[1] / "fixtures" / "charged.sdf"
RECORDS = [one.molecule for one in read_records(PATH) if one.molecule is not None]
GLYCINE, ACETATE, METFORMIN, SALT, NITROGLYCERIN, ZIDOVUDINE, AMP = RECORDS


def bare(molecule: Molecule) -> Molecule:
    return from_geometry(molecule.atomic_numbers, molecule.pos)


@pytest.mark.parametrize("index", [0, 1, 4, 5, 6])
def test_charged_drugs_are_read_from_coordinates(index: int) -> None:
    own = RECORDS[index]
    seen = perceive(own, charged_atoms=True)
    assert graphs_agree(check_graph(own), seen)
    charge = int(own.formal_charge.sum())
    assert seen.n_charged >= abs(charge)
    assert perceive(bare(own), charge, charged_atoms=True).smiles == seen.smiles


def test_charged_groups_are_allowed_where_the_own_graph_has_them() -> None:
    for one in (GLYCINE, NITROGLYCERIN, ZIDOVUDINE):
        assert perceive(one).is_valid
        assert not perceive(bare(one)).is_valid
    assert perceive(AMP).is_valid
    assert perceive(ACETATE).is_valid
    assert not perceive(ACETATE, 0).is_valid


def test_own_charges_count_for_graphs_unless_another_is_asked_for() -> None:
    assert check_graph(METFORMIN).is_valid
    assert check_graph(METFORMIN, 0).reason == "net charge 1"
    scores = evaluate(RECORDS, relax=False, n_workers=1)
    assert scores.connected_valid is not None
    assert scores.connected_valid.count == len(RECORDS) - 1
    neutral = evaluate(RECORDS, criterion=Criterion(0), relax=False)
    assert neutral.connected_valid is not None
    assert neutral.connected_valid.count == len(RECORDS) - 3
    assert neutral.invalid_reasons == {"disconnected": 1, "net charge -1": 1, "net charge 1": 1}


def as_zwitterion(molecule: Molecule) -> Molecule:
    """A second opinion that is worse: no bonds and two charges."""
    charge = np.zeros(molecule.n_atoms, dtype=np.int8)
    charge[:2] = 1, -1
    return replace(molecule, formal_charge=charge)


def as_recorded(molecule: Molecule) -> Molecule:
    """A second opinion that knows the answer."""
    return next(one for one in RECORDS if one.n_atoms == molecule.n_atoms)


def as_neutral_glycine(molecule: Molecule) -> Molecule:
    """A second opinion that hands one hydrogen of the ammonium group to the acid."""
    nitrogen, oxygen = (int(np.flatnonzero(GLYCINE.formal_charge == q)[0]) for q in (1, -1))
    bonds = GLYCINE.bonds.copy()
    ends = GLYCINE.atomic_numbers[bonds[:, :2]]
    row = np.flatnonzero((bonds[:, :2] == nitrogen).any(1) & (ends == 1).any(1))[0]
    hydrogen = bonds[row, :2].sum() - nitrogen
    bonds[row, :2] = sorted((oxygen, hydrogen))
    return replace(molecule, bonds=bonds)


def never(molecule: Molecule) -> Molecule:
    raise AssertionError(molecule)


def test_a_second_opinion_counts_where_it_is_better() -> None:
    given = [bare(NITROGLYCERIN), bare(GLYCINE), NO_ATOMS, NOT_A_NUMBER]
    alone = perceive_all(given, 1)
    both = perceive_all(given, 1, criterion=Criterion(second=as_recorded))
    assert [one.is_valid for one in alone] == [False] * 4
    assert [one.is_valid for one in both] == [True, True, False, False]
    assert both[0].smiles == check_graph(NITROGLYCERIN).smiles
    assert [one.reason for one in both[2:]] == ["no atoms", "coordinates not finite"]


def test_it_is_not_asked_where_nothing_could_be_better_and_not_heard_where_it_is_worse() -> None:
    assert perceive_all([WATER], 1, criterion=Criterion(second=never))[0].smiles == "O"
    worse = Criterion(0, charged_atoms=True, second=as_zwitterion)
    zwitterion = perceive_all([bare(GLYCINE)], 1, criterion=worse)[0]
    assert zwitterion.smiles == check_graph(GLYCINE).smiles


def test_of_two_valid_opinions_that_with_fewer_charged_atoms_counts() -> None:
    criterion = Criterion(0, charged_atoms=True, second=as_neutral_glycine)
    seen = perceive_all([bare(GLYCINE)], 1, criterion=criterion)[0]
    assert (seen.smiles, seen.n_charged) == ("NCC(=O)O", 0)


def test_open_babel_is_a_second_opinion() -> None:
    openbabel = pytest.importorskip("molgen.integrations.openbabel")
    criterion = Criterion(charged_atoms=True, second=openbabel.perceived)
    whole = [one for one in RECORDS if one is not SALT]
    seen = perceive_all(whole, 1, criterion=criterion)
    assert (
        sum(graphs_agree(check_graph(one), two) for one, two in zip(whole, seen, strict=True)) >= 5
    )
    nitro = perceive_all([bare(NITROGLYCERIN)], 1, criterion=Criterion(second=openbabel.perceived))
    assert nitro[0].n_charged == 6
    assert nitro[0].smiles == check_graph(NITROGLYCERIN).smiles
