"""The most probable valid molecule, by repairing the cheapest choices in a beam search.

The cheapest choice at every atom and pair leaves few constraints broken. Each broken one names a
set of changes of which every valid molecule must contain at least one: an atom whose bonds do not
add up needs another state or another order to some atom; a wrong total charge needs another state
somewhere; a fragment needs a bond to the rest. A search node is a set of changes, each made once
and for good; its children are the changes that its first broken constraint names. Changes cost
their deficits, which are never negative, so cost plus a lower bound on the repair of the atoms
still broken bounds every descendant. A beam keeps the nodes with the lowest bounds, preferring
those with few missing bonds: without that, beliefs with most atoms broken never get finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.chem.choices import N_ORDERS, Choices, FloatArray, IntArray, Solution
from molgen.chem.molecule import fragment_labels

IMPOSSIBLE = 1e6
"""Stands for an infinite deficit, in nats; finite, so that bounds can be updated by differences."""

TOLERANCE = 1e-9
"""A node must promise to be better than the best solution by more than this, in nats."""

URGENCY = 2.0
"""Nats per missing bond in the ranking of the beam; in no bound, so proofs do not depend on it."""

MOST_OPTIONS = 128
"""Cheapest changes at an atom that are tried: all of them up to 29 atoms of H, C, N, O and F."""


@dataclass(frozen=True)
class Repair:
    """What a search found.

    Attributes:
        solution: The best valid molecule met; None when there was none.
        is_proven: Whether nothing that was left out could have been better: the solution is then
            the optimum, and without a solution no valid molecule exists.
    """

    solution: Solution | None
    is_proven: bool


def repair(
    choices: Choices,
    beam: int,
    most_nodes: int,
    known: Solution | None = None,
    total_charge: int | None = 0,
) -> Repair:
    """Search for the valid molecule with the lowest total deficit.

    Args:
        choices: Deficits; the cheapest of each atom and of each pair is zero.
        beam: Number of nodes kept per depth.
        most_nodes: Number of nodes of all depths after which the search stops unproven.
        known: A valid molecule that the search has to improve on.
        total_charge: Of the molecule; None for any.

    Returns:
        The best solution found, or the known one. A found one is always connected, of the total
        charge and without broken valence.
    """
    problem = _problem(choices, total_charge)
    if problem is None:
        return Repair(None, is_proven=True)
    nodes, solution, left_out = _root(problem, total_charge), known, problem.left_out
    best = IMPOSSIBLE / 2 if known is None else known.deficit(choices)
    n_nodes = 0
    while len(nodes.cost):
        n_nodes += len(nodes.cost)
        if n_nodes > most_nodes:
            return Repair(solution, is_proven=False)
        rows, named = _unbalanced(problem, nodes)
        parents, options = [], []
        for row, changes in _balanced(problem, nodes, best):
            if changes is None:
                best, solution = float(nodes.cost[row]), problem.solution(nodes.value[row])
            else:
                parents.append(np.full(len(changes), row))
                options.append(changes)
        parent, option = np.concatenate([*parents, rows]), np.concatenate([*options, named])
        nodes, lost = _children(problem, nodes, parent, option, best, beam)
        left_out = min(left_out, lost)
    return Repair(solution, is_proven=bool(left_out >= best - TOLERANCE))


@dataclass(frozen=True)
class _Problem:
    """The cheapest choices and all changes: (atom, state) first, then (pair, order).

    Attributes:
        choices: The deficits.
        cheapest: Cheapest state of each atom and order of each pair, by slot.
        slot: The atom or, n atoms on, the pair that an option decides; shape (n_options,).
        value: Its state or order.
        first, second: The atoms it touches; the second of a state is the dummy atom n.
        cost: Its deficit.
        gain: What it adds to the missing bonds of the atoms it touches.
        charge: What it adds to the total charge.
        key: A random number; the sum of several names a set of options.
        around: Options that are tried at each atom, shape (n, at most `MOST_OPTIONS`).
        left_out: Deficit of the cheapest of the others.
        least: Lower bound on an atom's share in its repair by the sign of its missing bonds
            (none, missing, too many: index 0, 1, -1), shape (n + 1, 3).
    """

    choices: Choices
    cheapest: IntArray
    slot: IntArray
    value: IntArray
    first: IntArray
    second: IntArray
    cost: FloatArray
    gain: IntArray
    charge: IntArray
    key: IntArray
    around: IntArray
    left_out: float
    least: FloatArray

    def solution(self, value: NDArray[np.int16]) -> Solution:
        """States and orders of a node."""
        n = self.choices.n_atoms
        return Solution(value[:n].astype(np.int64), value[n:].astype(np.int64))


def _problem(choices: Choices, total_charge: int | None) -> _Problem | None:
    """None when some atom or pair has no possible choice at all."""
    n, n_states, n_pairs = choices.n_atoms, len(choices.states), len(choices.begin)
    if not n or not n_states:
        return None
    cost = np.append(choices.state.ravel(), choices.order.ravel())
    cost[~(cost < IMPOSSIBLE)] = IMPOSSIBLE
    state, order = choices.state.argmin(axis=1), choices.order.argmin(axis=1)
    cheapest, sizes = np.append(state, order), np.repeat([n_states, N_ORDERS], [n, n_pairs])
    start = sizes.cumsum() - sizes
    if cost[start + cheapest].max() >= IMPOSSIBLE:
        return None
    slot = np.arange(n + n_pairs).repeat(sizes)
    first = np.append(np.arange(n), choices.begin)[slot]
    second = np.append(np.full(n, n), choices.end)[slot]
    valence, charge = choices.valence, choices.formal_charge * (total_charge is not None)
    more = (valence - valence[state][:, None]).ravel()
    fewer = (order[:, None] - np.arange(N_ORDERS)).ravel()
    gain, around = np.append(more, fewer), _around(choices)
    tried, left_out = _cheapest(around, cost, gain)
    return _Problem(
        choices=choices,
        cheapest=cheapest,
        slot=slot,
        value=np.arange(len(slot)) - start[slot],
        first=first,
        second=second,
        cost=cost,
        gain=gain,
        charge=np.append((charge - charge[state][:, None]).ravel(), np.zeros_like(fewer)),
        key=np.random.default_rng(0).integers(2**63, size=len(slot), dtype=np.int64),
        around=tried,
        left_out=left_out,
        least=_least(around, cost, gain, n_states),
    )


def _around(choices: Choices) -> IntArray:
    """Options that touch each atom, its own first, shape (n, n_states + 4 (n - 1))."""
    n, n_states = choices.state.shape
    pair_of = np.zeros((n, n), dtype=np.int64)
    pair_of[choices.begin, choices.end] = np.arange(len(choices.begin))
    pair_of += pair_of.T
    others = pair_of[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    bonds = n * n_states + N_ORDERS * others[:, :, None] + np.arange(N_ORDERS)
    own = np.arange(n * n_states).reshape(n, n_states)
    return np.concatenate([own, bonds.reshape(n, -1)], axis=1)


def _cheapest(around: IntArray, cost: FloatArray, gain: IntArray) -> tuple[IntArray, float]:
    """The cheapest options of each atom that change its bonds, and the cheapest of all others."""
    if around.shape[1] <= MOST_OPTIONS:
        return around, np.inf
    useful = np.where(gain[around] == 0, np.inf, cost[around])
    rank = useful.argpartition(MOST_OPTIONS, axis=1)
    next_one = np.take_along_axis(useful, rank[:, MOST_OPTIONS : MOST_OPTIONS + 1], axis=1)
    return np.take_along_axis(around, rank[:, :MOST_OPTIONS], axis=1), float(next_one.min())


def _least(around: IntArray, cost: FloatArray, gain: IntArray, n_states: int) -> FloatArray:
    """A state counts in full for its atom, a bond half for each of its two atoms."""
    share = cost[around] * np.where(np.arange(around.shape[1]) < n_states, 1.0, 0.5)
    least = np.zeros((len(around) + 1, 3))
    for sign in (1, -1):
        least[:-1, sign] = np.where(gain[around] * sign < 0, share, IMPOSSIBLE).min(axis=1)
    return least


@dataclass(frozen=True)
class _Nodes:
    """Nodes of equal depth.

    Attributes:
        value: State of each atom and order of each pair, shape (n_nodes, n_slots).
        missing: Missing bond order of each atom (negative: too many) and of the dummy atom,
            always zero; shape (n_nodes, n + 1).
        charge: Total charge beyond the wanted one.
        cost: Total deficit.
        bound: Lower bound on the total deficit of any descendant.
        key: Sum of the keys of the options taken.
    """

    value: NDArray[np.int16]
    missing: IntArray
    charge: IntArray
    cost: FloatArray
    bound: FloatArray
    key: IntArray


def _root(problem: _Problem, total_charge: int | None) -> _Nodes:
    choices = problem.choices
    n, cheapest = choices.n_atoms, problem.cheapest
    state, order = cheapest[:n], cheapest[n:]
    used = np.bincount(choices.begin, order, n) + np.bincount(choices.end, order, n)
    missing = np.append(choices.valence[state] - used.astype(np.int64), 0)
    surplus = 0 if total_charge is None else choices.formal_charge[state].sum() - total_charge
    return _Nodes(
        value=cheapest.astype(np.int16)[None],
        missing=missing[None],
        charge=np.array([surplus]),
        cost=np.zeros(1),
        bound=problem.least[np.arange(n + 1), np.sign(missing)].sum(keepdims=True),
        key=np.zeros(1, dtype=np.int64),
    )


def _unbalanced(problem: _Problem, nodes: _Nodes) -> tuple[IntArray, IntArray]:
    """Changes that the atom with the dearest repair names: (row of its node, option) each."""
    rows = np.flatnonzero(nodes.missing.any(axis=1))
    missing = nodes.missing[rows]
    sign = np.sign(missing)
    share = np.where(sign == 0, -1.0, problem.least[np.arange(missing.shape[1]), sign])
    atom = share.argmax(axis=1)
    option = problem.around[atom]
    helps = problem.gain[option] * sign[np.arange(len(rows)), atom][:, None] < 0
    return np.repeat(rows, helps.sum(axis=1)), option[helps]


def _balanced(
    problem: _Problem, nodes: _Nodes, best: float
) -> Iterator[tuple[int, IntArray | None]]:
    """Rows without a broken valence that improve on the best: what they name, None if valid."""
    for row in np.flatnonzero(~nodes.missing.any(axis=1)).tolist():
        if nodes.cost[row] >= best - TOLERANCE:
            continue
        charge = nodes.charge[row]
        if charge != 0:
            yield row, np.flatnonzero(problem.charge * charge < 0)
            continue
        named = _joining(problem, nodes.value[row])
        if named is None:
            best = nodes.cost[row]
        yield row, named


def _joining(problem: _Problem, value: NDArray[np.int16]) -> IntArray | None:
    """Bonds between the smallest fragment and the rest; None when there is one fragment only."""
    choices, n = problem.choices, problem.choices.n_atoms
    bonded = value[n:] > 0
    bonds = np.stack([choices.begin[bonded], choices.end[bonded]], axis=1)
    labels = np.array(fragment_labels(n, bonds))
    if (labels == labels[0]).all():
        return None
    sizes = np.bincount(labels)
    smallest = np.append(labels == np.where(sizes == 0, n, sizes).argmin(), False)
    crosses = smallest[problem.first] != smallest[problem.second]
    return np.flatnonzero(crosses & (problem.gain < 0) & (problem.slot >= n))


def _children(
    problem: _Problem, nodes: _Nodes, parent: IntArray, option: IntArray, best: float, beam: int
) -> tuple[_Nodes, float]:
    """The best nodes with one more change, and the lowest bound among the others.

    Repetitions and nodes that cannot improve are neither.
    """
    cost = nodes.cost[parent] + problem.cost[option]
    hopeful = np.flatnonzero(cost < best - TOLERANCE)
    parent, option, cost = parent[hopeful], option[hopeful], cost[hopeful]
    gain, bound = problem.gain[option], nodes.bound[parent] + problem.cost[option]
    broken = np.abs(nodes.missing).sum(axis=1)[parent]
    for atom in (problem.first[option], problem.second[option]):
        before = nodes.missing[parent, atom]
        after = np.where(atom < problem.choices.n_atoms, before + gain, 0)
        bound += problem.least[atom, np.sign(after)] - problem.least[atom, np.sign(before)]
        broken += np.abs(after) - np.abs(before)
    slot = problem.slot[option]
    again = nodes.value[parent, slot] != problem.cheapest[slot]
    key = nodes.key[parent] + problem.key[option]
    keep = np.flatnonzero((bound < best - TOLERANCE) & ~again)
    keep = keep[np.unique(key[keep], return_index=True)[1]]
    lost = np.inf
    if len(keep) > beam:
        rank = np.argsort(bound[keep] + URGENCY * broken[keep], kind="stable")
        lost, keep = float(bound[keep[rank[beam:]]].min()), keep[rank[:beam]]
    parent, option, gain, rows = parent[keep], option[keep], gain[keep], np.arange(len(keep))
    value, missing = nodes.value[parent], nodes.missing[parent]
    value[rows, slot[keep]] = problem.value[option]
    missing[rows, problem.first[option]] += gain
    missing[rows, problem.second[option]] += gain
    missing[:, -1] = 0
    charge = nodes.charge[parent] + problem.charge[option]
    return _Nodes(value, missing, charge, cost[keep], bound[keep], key[keep]), lost
