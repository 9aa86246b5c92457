"""The most probable valid molecule, by repairing the cheapest choices in a beam search.

The cheapest choice at every atom and pair leaves few constraints broken. Each broken one names a
set of changes of which every valid molecule must contain at least one: an atom whose bonds do not
add up needs another state or another order to some atom; a net charge needs another state
somewhere; a fragment needs a bond to the rest. A search node is a set of changes, each made once
and for good; its children are the changes that its first broken constraint names. Changes cost
their deficits, which are never negative, so cost plus a lower bound on the repair of the atoms
still broken bounds every descendant. A beam keeps the nodes with the lowest bounds, preferring
those with few missing bonds: without that, beliefs with most atoms broken never get finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from molgen.chem.choices import N_ORDERS, Choices, FloatArray, IntArray, Solution
from molgen.chem.molecule import fragment_labels

IMPOSSIBLE = 1e6
"""Stands for an infinite deficit, in nats; finite, so that bounds can be updated by differences."""

TOLERANCE = 1e-9
"""A node must promise to be better than the best solution by more than this, in nats."""

URGENCY = 2.0
"""Nats per missing bond in the ranking of the beam; in no bound, so proofs do not depend on it."""


@dataclass(frozen=True)
class Repair:
    """What a search found.

    Attributes:
        solution: The best valid molecule met; None when there was none.
        is_proven: Whether nothing that the beam dropped could have been better: the solution is
            then the optimum, and without a solution no valid molecule exists.
    """

    solution: Solution | None
    is_proven: bool


def repair(choices: Choices, width: int, most_nodes: int, known: Solution | None = None) -> Repair:
    """Search for the valid molecule with the lowest total deficit.

    Args:
        choices: Deficits; the cheapest of each atom and of each pair is zero.
        width: Number of nodes kept per depth.
        most_nodes: Number of nodes of all depths after which the search stops unproven.
        known: A valid molecule that the search has to improve on.

    Returns:
        The best solution found, or the known one. A found one is always neutral, connected and
        without broken valence.
    """
    task = _task(choices)
    if task is None:
        return Repair(None, is_proven=True)
    nodes, solution, dropped = _root(task), known, np.inf
    best = IMPOSSIBLE / 2 if known is None else known.deficit(choices)
    n_nodes = 0
    while len(nodes.cost):
        n_nodes += len(nodes.cost)
        if n_nodes > most_nodes:
            return Repair(solution, is_proven=False)
        parents, options = [], []
        for row, named in _balanced(task, nodes, best):
            if named is None:
                best, solution = float(nodes.cost[row]), _solution(task, nodes.taken[row])
            else:
                parents.append(np.full(len(named), row))
                options.append(named)
        rows, named = _unbalanced(task, nodes)
        parent, option = np.concatenate([*parents, rows]), np.concatenate([*options, named])
        nodes = _children(task, nodes, parent, option, best)
        nodes, lost = _narrowed(nodes, width)
        dropped = min(dropped, lost)
    return Repair(solution, is_proven=bool(dropped >= best - TOLERANCE))


@dataclass(frozen=True)
class _Layout:
    """Options of a molecule of one size: (atom, state) pairs first, then (pair, order) pairs.

    Attributes:
        slot: The atom or, n atoms on, the pair that an option decides; shape (n_options,).
        value: Its state or order.
        first, second: The atoms it touches; the second of a state is the dummy atom n.
        around: Options that touch each atom, shape (n, n_states + 4 (n - 1)).
        key: A random number per option; their sum names a set of options.
    """

    slot: IntArray
    value: IntArray
    first: IntArray
    second: IntArray
    around: IntArray
    key: IntArray


@lru_cache(maxsize=64)
def _layout(n_atoms: int, n_states: int) -> _Layout:
    atoms, states, orders = np.arange(n_atoms), np.arange(n_states), np.arange(N_ORDERS)
    begin, end = np.triu_indices(n_atoms, 1)
    pairs = np.arange(len(begin))
    pair_of = np.zeros((n_atoms, n_atoms), dtype=np.int64)
    pair_of[begin, end] = pair_of[end, begin] = pairs
    others = pair_of[~np.eye(n_atoms, dtype=bool)].reshape(n_atoms, max(n_atoms - 1, 0))
    bonds = n_atoms * n_states + N_ORDERS * others[:, :, None] + orders
    own = n_states * atoms[:, None] + states
    n_options = n_atoms * n_states + N_ORDERS * len(pairs)
    return _Layout(
        slot=np.concatenate([atoms.repeat(n_states), n_atoms + pairs.repeat(N_ORDERS)]),
        value=np.concatenate([np.tile(states, n_atoms), np.tile(orders, len(pairs))]),
        first=np.concatenate([atoms.repeat(n_states), begin.repeat(N_ORDERS)]),
        second=np.concatenate([np.full(n_atoms * n_states, n_atoms), end.repeat(N_ORDERS)]),
        around=np.concatenate([own, bonds.reshape(n_atoms, -1)], axis=1),
        key=np.random.default_rng(0).integers(2**63, size=n_options, dtype=np.int64),
    )


@dataclass(frozen=True)
class _Task:
    """The cheapest choices and what each option changes about them.

    Attributes:
        state, order: The cheapest state of each atom and order of each pair.
        cost: Deficit of each option.
        gain: What an option adds to the missing bonds of the atoms it touches.
        charge: What it adds to the net charge.
        least: Lower bound on an atom's share in its repair by the sign of its missing bonds
            (none, missing, too many: index 0, 1, -1), shape (n + 1, 3).
    """

    choices: Choices
    layout: _Layout
    state: IntArray
    order: IntArray
    cost: FloatArray
    gain: IntArray
    charge: IntArray
    least: FloatArray


def _task(choices: Choices) -> _Task | None:
    """None when some atom or pair has no possible choice at all."""
    n, valence, charge = choices.n_atoms, choices.valence, choices.formal_charge
    if not n or not choices.states:
        return None
    cost = np.concatenate([choices.state.ravel(), choices.order.ravel()])
    cost[~(cost < IMPOSSIBLE)] = IMPOSSIBLE
    state, order = choices.state.argmin(axis=1), choices.order.argmin(axis=1)
    layout = _layout(n, len(choices.states))
    n_state_options = choices.state.size
    chosen = np.concatenate(
        [
            np.arange(n) * len(valence) + state,
            n_state_options + np.arange(len(order)) * N_ORDERS + order,
        ]
    )
    if cost[chosen].max() >= IMPOSSIBLE:
        return None
    more = (valence - valence[state][:, None]).ravel()
    fewer = (order[:, None] - np.arange(N_ORDERS)).ravel()
    task = _Task(
        choices,
        layout,
        state,
        order,
        cost,
        gain=np.concatenate([more, fewer]),
        charge=np.concatenate([(charge - charge[state][:, None]).ravel(), np.zeros_like(fewer)]),
        least=np.zeros((n + 1, 3)),
    )
    return replace(task, least=_least(task))


def _least(task: _Task) -> FloatArray:
    """A state counts in full for its atom, a bond half for each of its two atoms."""
    around, layout = task.layout.around, task.layout
    share = task.cost[around] * np.where(layout.second[around] == len(task.state), 1.0, 0.5)
    gain = task.gain[around]
    least = np.zeros((len(task.state) + 1, 3))
    for sign in (1, -1):
        least[:-1, sign] = np.where(gain * sign < 0, share, IMPOSSIBLE).min(axis=1)
    return least


@dataclass(frozen=True)
class _Nodes:
    """Nodes of equal depth.

    Attributes:
        taken: Options taken so far, shape (n_nodes, depth).
        missing: Missing bond order of each atom (negative: too many) and of the dummy atom,
            always zero; shape (n_nodes, n + 1).
        charge: Net charge.
        cost: Total deficit.
        bound: Lower bound on the total deficit of any descendant.
        key: Sum of the keys of the options taken.
    """

    taken: IntArray
    missing: IntArray
    charge: IntArray
    cost: FloatArray
    bound: FloatArray
    key: IntArray


def _root(task: _Task) -> _Nodes:
    choices, n = task.choices, len(task.state)
    used = np.bincount(choices.begin, task.order, n) + np.bincount(choices.end, task.order, n)
    missing = np.append(choices.valence[task.state] - used.astype(np.int64), 0)
    return _Nodes(
        taken=np.zeros((1, 0), dtype=np.int64),
        missing=missing[None],
        charge=choices.formal_charge[task.state].sum(keepdims=True),
        cost=np.zeros(1),
        bound=task.least[np.arange(n + 1), np.sign(missing)].sum(keepdims=True),
        key=np.zeros(1, dtype=np.int64),
    )


def _unbalanced(task: _Task, nodes: _Nodes) -> tuple[IntArray, IntArray]:
    """Changes that the atom with the dearest repair names: (row of its node, option) each."""
    rows = np.flatnonzero(nodes.missing.any(axis=1))
    missing = nodes.missing[rows]
    sign = np.sign(missing)
    share = np.where(sign == 0, -1.0, task.least[np.arange(missing.shape[1]), sign])
    atom = share.argmax(axis=1)
    option = task.layout.around[atom]
    helps = task.gain[option] * sign[np.arange(len(rows)), atom][:, None] < 0
    return np.repeat(rows, helps.sum(axis=1)), option[helps]


def _balanced(task: _Task, nodes: _Nodes, best: float) -> Iterator[tuple[int, IntArray | None]]:
    """Rows without a broken valence that improve on the best: what they name, None if valid."""
    for row in np.flatnonzero(~nodes.missing.any(axis=1)).tolist():
        if nodes.cost[row] >= best - TOLERANCE:
            continue
        charge = nodes.charge[row]
        if charge != 0:
            yield row, np.flatnonzero(task.charge * charge < 0)
            continue
        named = _joining(task, nodes.taken[row])
        if named is None:
            best = nodes.cost[row]
        yield row, named


def _joining(task: _Task, taken: IntArray) -> IntArray | None:
    """Bonds between the smallest fragment and the rest; None when there is one fragment only."""
    choices, layout, n = task.choices, task.layout, len(task.state)
    order = _solution(task, taken).order
    bonded = order > 0
    bonds = np.stack([choices.begin[bonded], choices.end[bonded]], axis=1)
    labels = np.array(fragment_labels(n, bonds))
    if (labels == labels[0]).all():
        return None
    sizes = np.bincount(labels)
    smallest = np.append(labels == np.where(sizes == 0, n, sizes).argmin(), False)
    crosses = smallest[layout.first] != smallest[layout.second]
    return np.flatnonzero(crosses & (task.gain < 0) & (layout.slot >= n))


def _children(
    task: _Task, nodes: _Nodes, parent: IntArray, option: IntArray, best: float
) -> _Nodes:
    """Nodes with one more change, without repetitions and those that cannot improve."""
    first, second = task.layout.first[option], task.layout.second[option]
    cost = nodes.cost[parent] + task.cost[option]
    hopeful = np.flatnonzero(cost < best - TOLERANCE)
    parent, option, first, second = (x[hopeful] for x in (parent, option, first, second))
    cost, gain = cost[hopeful], task.gain[option]
    here, there = nodes.missing[parent, first], nodes.missing[parent, second]
    bound = nodes.bound[parent] + task.cost[option]
    for atom, before in ((first, here), (second, there)):
        after = np.sign(before + gain)
        bound += task.least[atom, after] - task.least[atom, np.sign(before)]
    slots = task.layout.slot
    again = (slots[nodes.taken[parent]] == slots[option][:, None]).any(axis=1)
    key = nodes.key[parent] + task.layout.key[option]
    keep = np.flatnonzero((bound < best - TOLERANCE) & ~again)
    keep = keep[np.unique(key[keep], return_index=True)[1]]
    parent, option = parent[keep], option[keep]
    missing = nodes.missing[parent]
    rows = np.arange(len(keep))
    missing[rows, first[keep]] += gain[keep]
    missing[rows, second[keep]] += gain[keep]
    missing[:, -1] = 0
    return _Nodes(
        taken=np.concatenate([nodes.taken[parent], option[:, None]], axis=1),
        missing=missing,
        charge=nodes.charge[parent] + task.charge[option],
        cost=cost[keep],
        bound=bound[keep],
        key=key[keep],
    )


def _narrowed(nodes: _Nodes, width: int) -> tuple[_Nodes, float]:
    """The most promising nodes, and the lowest bound among the others."""
    if len(nodes.cost) <= width:
        return nodes, np.inf
    broken = np.abs(nodes.missing).sum(axis=1)
    rank = np.argsort(nodes.bound + URGENCY * broken, kind="stable")
    keep = rank[:width]
    kept = _Nodes(
        nodes.taken[keep],
        nodes.missing[keep],
        nodes.charge[keep],
        nodes.cost[keep],
        nodes.bound[keep],
        nodes.key[keep],
    )
    return kept, float(nodes.bound[rank[width:]].min())


def _solution(task: _Task, taken: IntArray) -> Solution:
    both = np.concatenate([task.state, task.order])
    both[task.layout.slot[taken]] = task.layout.value[taken]
    return Solution(both[: len(task.state)], both[len(task.state) :])
