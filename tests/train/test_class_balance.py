"""Shares of the elements that are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.train.class_balance import LARGEST, ClassBalance

WANTED = np.array([0.5, 0.3, 0.2])


def drawn(
    class_balance: ClassBalance, taste: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Classes that a decoder of a certain taste names under the class_balance's prior."""
    odds = WANTED * np.exp(taste + class_balance.log_prior)
    return generator.choice(3, size=600, p=odds / odds.sum())


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(-1, 1), st.floats(-1, 1))
def test_a_taste_is_leaned_against_until_it_is_gone(seed: int, second: float, third: float) -> None:
    class_balance, taste = ClassBalance(WANTED), np.array([0.0, second, third])
    generator = np.random.default_rng(seed)
    for _ in range(150):
        class_balance.add(drawn(class_balance, taste, generator))
    late = np.concatenate([drawn(class_balance, taste, generator) for _ in range(20)])
    shares = np.bincount(late, minlength=3) / len(late)
    assert np.abs(shares - WANTED).max() < 0.05


def test_without_a_taste_it_hardly_leans() -> None:
    class_balance, generator = ClassBalance(WANTED), np.random.default_rng(0)
    for _ in range(100):
        class_balance.add(drawn(class_balance, np.zeros(3), generator))
    assert np.abs(class_balance.log_prior).max() < 0.3


def test_too_many_lower_the_prior_and_too_few_raise_it() -> None:
    class_balance = ClassBalance(WANTED)
    class_balance.add(np.array([2] * 90 + [0] * 10))
    assert class_balance.log_prior[2] < 0 < class_balance.log_prior[1]
    assert class_balance.log_prior[0] > 0


def test_a_prior_is_bounded_and_an_empty_batch_changes_little() -> None:
    class_balance = ClassBalance(WANTED)
    for _ in range(50):
        class_balance.add(np.full(50, 2))
    assert class_balance.log_prior[2] == -LARGEST
    assert class_balance.log_prior[0] == LARGEST
    class_balance.add(np.zeros(0, dtype=np.int64))
    assert np.isfinite(class_balance.log_prior).all()


def test_an_element_too_rare_to_be_counted_is_nearly_left_alone() -> None:
    rare, common = ClassBalance(np.array([0.9995, 0.0005])), ClassBalance(np.array([0.9, 0.1]))
    for class_balance in (rare, common):
        class_balance.add(np.zeros(500, dtype=np.int64))
    assert 0 < rare.log_prior[1] < 0.1 * common.log_prior[1] + 0.01


def test_atoms_count_and_not_batches() -> None:
    """A small batch of one kind and a large one of another, of the wanted shares together."""
    class_balance = ClassBalance(WANTED)
    for _ in range(300):
        class_balance.add(np.repeat([0, 1, 2], [50, 0, 0]))
        class_balance.add(np.repeat([0, 1, 2], [450, 300, 200]))
    assert np.abs(class_balance.log_prior).max() < 0.5


def test_its_state_is_taken_up_again() -> None:
    class_balance, other = ClassBalance(WANTED), ClassBalance(WANTED)
    class_balance.add(np.array([0, 0, 1]))
    other.restore(class_balance.state())
    for one in (class_balance, other):
        one.add(np.array([1, 2]))
    assert other.log_prior == pytest.approx(class_balance.log_prior)
