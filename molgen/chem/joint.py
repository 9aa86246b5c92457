"""The most probable valid molecule under independent log-probabilities.

Chooses one (element, charge, valence) state per atom and one bond order per pair so that the sum
of log-probabilities is as large as possible while the orders at every atom add up to its valence,
the formal charges add up to the total charge and the graph is connected.

What is guaranteed: a molecule that is returned satisfies all three. It is the optimum whenever
the search in use ends without dropping a node that might have led to a better one, which it knows
(`molgen.chem.repair.Repair.is_proven`); otherwise the next wider search has a go, and the best
molecule of the widest is returned unproven.
"""

from __future__ import annotations

import numpy as np

from molgen.chem.atom_classes import implicit_hydrogens
from molgen.chem.beliefs import Beliefs
from molgen.chem.choices import Choices, Solution, choices_of
from molgen.chem.molecule import Molecule
from molgen.chem.repair import repair

SEARCHES = ((64, 6000), (512, 2500))
"""Beam and most nodes of each search, used when the one before has proven nothing.

A node limit keeps hopeless beliefs bounded without making the result depend on the clock.
"""

SMALL = 29
"""Atoms up to which these hold. A larger molecule has more to repair one after the other: its beam
is narrower and its nodes are more, both in proportion to the number of atoms."""


def decode_joint(beliefs: Beliefs, total_charge: int | None = 0) -> Molecule | None:
    """The most probable connected molecule of a charge without a broken valence that is found.

    The probability of an aromatic bond is shared equally between single and double; the result
    is a Kekulé structure. Ties are broken the same way every time.

    Args:
        beliefs: The model's log-probabilities.
        total_charge: Of the molecule; None for any.

    Returns:
        The molecule, or None when none was found.
    """
    choices, solution = choices_of(beliefs), None
    larger = max(choices.n_atoms / SMALL, 1.0)
    for beam, most_nodes in SEARCHES:
        within = round(beam / larger), round(most_nodes * larger)
        result = repair(choices, *within, solution, total_charge)
        solution = result.solution
        if result.is_proven:
            break
    return None if solution is None else _molecule(beliefs, choices, solution)


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
        hydrogens=implicit_hydrogens(beliefs.vocabulary, np.array([s.element for s in states])),
    )
