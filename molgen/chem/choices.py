"""What joint decoding may choose from, and what each choice costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from molgen.chem.beliefs import Beliefs
from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.chem.valence import KEKULE_VALENCES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

N_ORDERS = 4
"""Bond orders 0 to 3 of a Kekulé structure."""


@dataclass(frozen=True)
class State:
    """One way for an atom to be: classes in the vocabulary, formal charge, total bond order.

    Bonds to implicit hydrogens do not count.
    """

    element: int
    charge: int
    formal_charge: int
    valence: int


@cache
def states_of(vocabulary: Vocabulary) -> tuple[State, ...]:
    """Every (element, charge, valence) state that a vocabulary can express.

    Args:
        vocabulary: Elements and charges.

    Returns:
        The states, element by element.
    """
    return tuple(
        State(element, charge, formal_charge, valence - n_hydrogens)
        for element, (z, n_hydrogens) in enumerate(
            zip(vocabulary.atomic_numbers, vocabulary.hydrogen_counts, strict=True)
        )
        for charge, formal_charge in enumerate(vocabulary.charges)
        for valence in KEKULE_VALENCES.get((z, formal_charge), ())
        if valence >= n_hydrogens
    )


@dataclass(frozen=True)
class Choices:
    """Deficits of every choice, in nats; infinite for impossible ones.

    Attributes:
        states: The states that an atom may take.
        state: Deficit of each state, shape (n, n_states).
        begin: First atom of every pair, shape (n (n - 1) / 2,).
        end: Second atom of every pair, same shape.
        order: Deficit of bond orders 0 to 3, shape (n (n - 1) / 2, 4).
    """

    states: tuple[State, ...]
    state: FloatArray
    begin: IntArray
    end: IntArray
    order: FloatArray

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.state)

    @property
    def valence(self) -> IntArray:
        """Total bond order of each state, shape (n_states,)."""
        return np.array([state.valence for state in self.states])

    @property
    def formal_charge(self) -> IntArray:
        """Formal charge of each state, shape (n_states,)."""
        return np.array([state.formal_charge for state in self.states])


def choices_of(beliefs: Beliefs) -> Choices:
    """Turn log-probabilities into deficits.

    Half of an aromatic bond's probability goes to each of the orders 1 and 2.

    Args:
        beliefs: The model's log-probabilities.

    Returns:
        The deficits; choices whose log-probability is not finite are impossible.
    """
    states = states_of(beliefs.vocabulary)
    element = beliefs.element_log_prob[:, [s.element for s in states]]
    charge = beliefs.charge_log_prob[:, [s.charge for s in states]]
    begin, end = np.triu_indices(beliefs.n_atoms, 1)
    log_prob = np.nan_to_num(
        beliefs.bond_log_prob[begin, end].astype(np.float64), nan=-np.inf, neginf=-np.inf
    )
    half_aromatic = log_prob[:, AROMATIC:] - np.log(2.0)
    order = log_prob[:, :N_ORDERS]
    order[:, 1:3] = np.logaddexp(order[:, 1:3], half_aromatic)
    return Choices(
        states, _deficit(element.astype(np.float64) + charge), begin, end, _deficit(order)
    )


def _deficit(log_prob: FloatArray) -> FloatArray:
    possible = np.where(np.isfinite(log_prob), log_prob, -np.inf)
    best = possible.max(axis=1, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(best), best, 0.0) - possible


@dataclass(frozen=True)
class Solution:
    """A molecule in terms of choices.

    Attributes:
        state: Index into the states, shape (n,).
        order: Bond order of every pair, shape (n (n - 1) / 2,).
    """

    state: IntArray
    order: IntArray

    def deficit(self, choices: Choices) -> float:
        """Total deficit under any pricing of the same choices, in nats."""
        state = np.take_along_axis(choices.state, self.state[:, None], axis=1)
        order = np.take_along_axis(choices.order, self.order[:, None], axis=1)
        return float(state.sum() + order.sum())
