"""The searches and controllers behind the stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molgen.calibrate import input_scale
from molgen.calibrate.distance_head import counts_by_size
from molgen.calibrate.input_scale import Score, descend, effective_knots, scales_of
from molgen.calibrate.logit_bias import LARGEST_ELEMENT, LARGEST_NO_BOND, Bias, Content
from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.data.store import MoleculeStore

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
VOCABULARY = Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1))
REAL = Content(np.array([0.5, 0.35, 0.06, 0.08, 0.01]), 1.5)
BUT_CARBON = np.array([True, False, True, True, True])

shares = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5).map(
    lambda values: np.array(values) / sum(values)
)


def test_scales_are_interpolated_between_knots() -> None:
    (between,) = scales_of((6.0,), (1.0, 1.2, 1.0, 1.0))
    assert 1.0 < between < 1.2
    assert scales_of((30.0, 0.1), (1.1, 1.0, 1.0, 0.9)) == (1.1, 0.9)


def test_only_knots_near_a_call_are_moved() -> None:
    assert effective_knots((20.0,)) == [0]
    assert effective_knots((20.0, 0.5)) == [0, 2, 3]
    assert effective_knots((20.0, 1.9, 0.7, 0.25)) == [0, 1, 2, 3]


def test_the_descent_finds_the_least_score() -> None:
    best, tried = (1.2, 1.0, 0.9, 1.0), []

    def score(scales: tuple[float, ...]) -> float:
        tried.append(scales)
        return sum((one - other) ** 2 for one, other in zip(scales, best, strict=True))

    assert descend(score, [0, 1, 2], 3) == pytest.approx(best)
    assert len(tried) == len(set(tried))


def test_scales_stay_within_their_range() -> None:
    found = descend(lambda scales: -scales[0], [0], 1)
    assert found[0] == pytest.approx(input_scale.RANGE[1])


def test_unstable_graphs_cost() -> None:
    plain = Score({"ring_tv": 0.2, "rg_w1": 0.1}, 0.9)
    assert plain.against(plain) == pytest.approx(1.0)
    assert Score({"ring_tv": 0.1, "rg_w1": 0.1}, 0.9).against(plain) == pytest.approx(0.75)
    assert Score({"ring_tv": 0.1, "rg_w1": 0.1}, 0.7).against(plain) > 1


@given(shares, st.floats(0, 4))
def test_a_bias_acts_against_what_there_is_too_much_of(elements: np.ndarray, rings: float) -> None:
    moved = Bias(np.zeros(5), 0.0).moved(Content(elements, rings), REAL, BUT_CARBON)
    too_many = np.sign(elements - REAL.elements)[BUT_CARBON]
    assert (np.sign(moved.element[BUT_CARBON]) == -too_many).all()
    assert not moved.element[~BUT_CARBON].any()
    assert np.sign(moved.no_bond) == np.sign(rings - REAL.rings)
    assert np.abs(moved.element).max() <= LARGEST_ELEMENT
    assert abs(moved.no_bond) <= LARGEST_NO_BOND


def test_a_bias_that_is_right_stays() -> None:
    there = Bias(np.array([0.0, 0.0, -1.0, 0.2, 0.0]), 0.5)
    moved = there.moved(REAL, REAL, BUT_CARBON)
    assert np.array_equal(moved.element, there.element)
    assert moved.no_bond == there.no_bond
    assert np.allclose(Bias.of(there.rounded(), VOCABULARY).element, there.element)
    assert there.rounded().to_dict()["bond"] == [0.5, *[0.0] * (N_BOND_CLASSES - 1)]


def test_counts_of_elements_add_up_to_the_size() -> None:
    wanted = counts_by_size(MoleculeStore.open(SAMPLE), (1, 6, 7, 8, 9), every=1)
    torch.testing.assert_close(wanted.sum(dim=1), torch.arange(len(wanted), dtype=torch.float32))
    assert bool((wanted[1:].argmax(dim=1) <= 1).all())  # hydrogen or carbon
