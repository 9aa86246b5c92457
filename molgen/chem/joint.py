"""The most probable valid molecule under independent beliefs, found exactly.

Chooses one (element, charge, valence) state per atom and one bond order per pair so that the sum
of log-probabilities is as large as it can be while the orders at every atom add up to its
valence, the formal charges add up to zero and the graph is connected.

Every choice is measured by its deficit against the best one for the same atom or pair, priced so
that deficits are comparable (`molgen.chem.dual`). Choices whose deficit exceeds a window are left
out. A valid molecule whose total lies within the window is the optimum of the full problem, since
one that used a left-out choice would cost more; otherwise the window grows to that total.
"""

from __future__ import annotations

import numpy as np

from molgen.chem.beliefs import Beliefs
from molgen.chem.choices import Choices, Solution, choices_of
from molgen.chem.dual import reduced
from molgen.chem.molecule import Molecule
from molgen.chem.programme import fragments, solve

FIRST_WINDOW = 3.0
"""First window, in nats above the dual bound."""

TOLERANCE = 1e-6
"""Totals closer than this, in nats, count as equal."""


def decode_joint(beliefs: Beliefs) -> Molecule | None:
    """The most probable connected, neutral molecule without a broken valence.

    The probability of an aromatic bond is shared equally between single and double; the result
    is a Kekulé structure. Ties are broken the same way every time.

    Args:
        beliefs: The model's log-probabilities.

    Returns:
        The optimum, or None when no valid molecule has a non-zero probability.
    """
    choices = choices_of(beliefs)
    priced = reduced(choices)
    solution = _unconstrained(priced) or _widening(priced)
    return None if solution is None else _molecule(beliefs, choices, solution)


def _unconstrained(choices: Choices) -> Solution | None:
    """The cheapest choice everywhere, if that happens to be a valid molecule."""
    state, order = choices.state.argmin(axis=1), choices.order.argmin(axis=1)
    if choices.formal_charge[state].sum() != 0:
        return None
    missing = choices.valence[state].astype(np.float64)
    np.subtract.at(missing, choices.begin, order)
    np.subtract.at(missing, choices.end, order)
    if missing.any() or len(fragments(choices, order)) != 1:
        return None
    return Solution(state, order)


def _widening(choices: Choices) -> Solution | None:
    window, largest = FIRST_WINDOW, choices.largest
    while True:
        solution = solve(choices, window)
        total = np.inf if solution is None else solution.deficit(choices)
        if total <= window + TOLERANCE or window >= largest:
            return solution
        window = 2 * window if solution is None else total


def _molecule(beliefs: Beliefs, choices: Choices, solution: Solution) -> Molecule:
    states = [choices.states[index] for index in solution.state]
    bonded = np.flatnonzero(solution.order)
    bonds = [choices.begin[bonded], choices.end[bonded], solution.order[bonded]]
    return Molecule(
        atomic_numbers=np.array(
            [beliefs.vocabulary.atomic_numbers[s.element] for s in states], dtype=np.uint8
        ),
        pos=np.asarray(beliefs.pos, dtype=np.float32),
        formal_charge=np.array([s.formal_charge for s in states], dtype=np.int8),
        bonds=np.stack(bonds, axis=1).astype(np.int16),
    )
