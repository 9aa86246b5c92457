"""Positions for graphs that a decoder found."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from e3nn import o3

from molgen.chem.elements import AROMATIC, QM9
from molgen.chem.molecule import Molecule
from molgen.models.graph_fit import GraphFit

from ..chem.builders import AROMATIC_ONES, STORE  # noqa: TID252
from ..networks import agreeing_model, refining_model  # noqa: TID252


@pytest.fixture(scope="module")
def fit() -> GraphFit:
    found = GraphFit.of(refining_model(), QM9)
    assert found is not None
    return found


def with_other_bond(one: Molecule) -> Molecule:
    """The molecule with another order of its first bond."""
    bonds = one.bonds.copy()
    bonds[0, 2] = 2 if bonds[0, 2] == 1 else 1
    return replace(one, bonds=bonds)


NAMED = [STORE[index] for index in (3, 40, 200, 90)]
DECODED = [with_other_bond(one) if row % 2 else one for row, one in enumerate(NAMED)]


def test_a_model_without_such_layers_has_none() -> None:
    assert GraphFit.of(agreeing_model(), QM9) is None


def test_only_what_was_decoded_anew_moves(fit: GraphFit) -> None:
    fitted = fit(NAMED, DECODED)
    for row, (one, before) in enumerate(zip(fitted, DECODED, strict=True)):
        assert np.array_equal(one.bonds, before.bonds)
        assert np.array_equal(one.atomic_numbers, before.atomic_numbers)
        moved = float(np.abs(one.pos - before.pos).max())
        assert (moved > 1e-3) == bool(row % 2)
        assert one.pos.dtype == np.float32
        np.testing.assert_allclose(one.pos.mean(axis=0), before.pos.mean(axis=0), atol=1e-4)


def test_a_kekule_form_is_no_other_graph(fit: GraphFit) -> None:
    aromatic = STORE[AROMATIC_ONES[0]]
    bonds = aromatic.bonds.copy()
    bonds[bonds[:, 2] == AROMATIC, 2] = 1
    form = replace(aromatic, bonds=bonds)
    (one,) = fit([aromatic], [form])
    assert np.array_equal(one.pos, form.pos)


def test_a_molecule_knows_nothing_of_its_batch(fit: GraphFit) -> None:
    together = fit(NAMED, DECODED)
    for named, decoded, one in zip(NAMED, DECODED, together, strict=True):
        (alone,) = fit([named], [decoded])
        np.testing.assert_allclose(alone.pos, one.pos, atol=1e-4)


def test_it_turns_and_moves_with_the_molecule(fit: GraphFit) -> None:
    turn = -o3.rand_matrix().numpy()

    def moved(molecules: list[Molecule]) -> list[Molecule]:
        return [replace(one, pos=one.pos @ turn + np.float32(3.0)) for one in molecules]

    for here, there in zip(fit(NAMED, DECODED), fit(moved(NAMED), moved(DECODED)), strict=True):
        np.testing.assert_allclose(there.pos, here.pos @ turn + 3.0, atol=1e-3)


def test_other_processes_can_be_sent_it(fit: GraphFit) -> None:
    sent = pickle.loads(pickle.dumps(fit))  # noqa: S301
    for here, there in zip(fit(NAMED, DECODED), sent(NAMED, DECODED), strict=True):
        assert np.array_equal(here.pos, there.pos)
