"""The integer programme of joint decoding, solved by HiGHS through scipy.

Columns are the choices within a window: one per state of an atom that has more than one, one per
order above zero of a pair. Rows: one state per atom; orders add up to the valence of the state;
charges add up to zero; at most (or exactly) one order per pair; and one row per connectivity cut.
HiGHS: Huangfu and Hall 2018, Math. Prog. Comp. 10, 119.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from molgen.chem.choices import Choices, FloatArray, IntArray, Solution
from molgen.chem.molecule import fragment_labels

MOST_CUT_ROUNDS = 12
"""Solutions in a row that may fall apart before the molecule counts as unsolved."""

MOST_NODES = 5000
"""Branch-and-bound nodes per programme; beyond them the best solution so far is taken."""


def solve(choices: Choices, window: float) -> Solution | None:
    """The valid molecule with the lowest total deficit among choices within a window.

    Args:
        choices: Deficits of every choice; finite sums are compared, so they may be reduced.
        window: Choices with a larger deficit, in nats, are left out.

    Returns:
        The optimum, or None when the choices within the window allow no valid molecule.
    """
    columns = _columns(choices, window)
    cuts: list[NDArray[np.bool_]] = []
    for _ in range(MOST_CUT_ROUNDS):
        solution = _solve_with_cuts(choices, columns, cuts)
        if solution is None:
            return None
        pieces = fragments(choices, solution.order)
        if len(pieces) == 1:
            return solution
        cuts.extend(pieces)
    return None


def fragments(choices: Choices, order: IntArray) -> list[NDArray[np.bool_]]:
    """Connected components of a choice of bond orders.

    Args:
        choices: Names the pairs.
        order: Bond order of every pair.

    Returns:
        One mask over the atoms per component.
    """
    bonded = order > 0
    bonds = np.stack([choices.begin[bonded], choices.end[bonded]], axis=1)
    labels = np.array(fragment_labels(choices.n_atoms, bonds))
    return [labels == label for label in np.unique(labels)]


@dataclass(frozen=True)
class _Columns:
    """Choices that take part, flattened: states first, then orders above zero."""

    atom: IntArray
    state: IntArray
    pair: IntArray
    order: IntArray
    may_be_unbonded: NDArray[np.bool_]


def _columns(choices: Choices, window: float) -> _Columns:
    state_on = choices.state <= window
    most = (state_on * choices.valence).max(axis=1)
    capacity = np.minimum(most[choices.begin], most[choices.end])
    orders = np.arange(choices.order.shape[1])
    order_on = (choices.order <= window) & (orders <= capacity[:, None])
    atom, state = np.nonzero(state_on)
    pair, order = np.nonzero(order_on[:, 1:])
    return _Columns(atom, state, pair, order + 1, order_on[:, 0])


@dataclass
class _Rows:
    """Sparse rows of lower <= A x <= upper, collected block by block."""

    row: list[IntArray] = field(default_factory=list)
    column: list[IntArray] = field(default_factory=list)
    value: list[IntArray] = field(default_factory=list)
    lower: list[FloatArray] = field(default_factory=list)
    upper: list[FloatArray] = field(default_factory=list)
    n_rows: int = 0

    def add_block(self, lower: FloatArray, upper: FloatArray) -> int:
        """Reserve rows with these limits and return the first one's number."""
        first = self.n_rows
        self.lower.append(lower)
        self.upper.append(upper)
        self.n_rows += len(lower)
        return first

    def add_entries(self, row: IntArray, column: IntArray, value: IntArray) -> None:
        """Set A[row, column] = value."""
        self.row.append(row)
        self.column.append(column)
        self.value.append(value)


def _solve_with_cuts(
    choices: Choices, columns: _Columns, cuts: list[NDArray[np.bool_]]
) -> Solution | None:
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415
    from scipy.sparse import csc_array  # noqa: PLC0415

    cost = _cost(choices, columns)
    if not len(cost):
        return None
    rows = _rows(choices, columns, cuts)
    values = np.concatenate(rows.value).astype(np.float64)
    places = (np.concatenate(rows.row), np.concatenate(rows.column))
    matrix = csc_array((values, places), shape=(rows.n_rows, len(cost)))
    result = milp(
        cost,
        constraints=LinearConstraint(
            matrix, np.concatenate(rows.lower), np.concatenate(rows.upper)
        ),
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0, "node_limit": MOST_NODES},
    )
    return None if result.x is None else _solution(choices, columns, result.x > 0.5)


def _cost(choices: Choices, columns: _Columns) -> FloatArray:
    """Deficit of each column; an order counts against leaving its pair unbonded."""
    unbonded = np.where(columns.may_be_unbonded, choices.order[:, 0], 0.0)[columns.pair]
    order = choices.order[columns.pair, columns.order] - unbonded
    return np.concatenate([choices.state[columns.atom, columns.state], order])


def _solution(choices: Choices, columns: _Columns, chosen: NDArray[np.bool_]) -> Solution:
    state_chosen, order_chosen = np.split(chosen, [len(columns.atom)])
    state = np.zeros(choices.n_atoms, dtype=np.int64)
    state[columns.atom[state_chosen]] = columns.state[state_chosen]
    order = np.zeros(len(choices.begin), dtype=np.int64)
    order[columns.pair[order_chosen]] = columns.order[order_chosen]
    return Solution(state, order)


def _rows(choices: Choices, columns: _Columns, cuts: list[NDArray[np.bool_]]) -> _Rows:
    n, n_states = choices.n_atoms, len(columns.atom)
    state_column = np.arange(n_states)
    order_column = n_states + np.arange(len(columns.pair))
    begin, end = choices.begin[columns.pair], choices.end[columns.pair]
    rows = _Rows()

    first = rows.add_block(np.ones(n), np.ones(n))
    rows.add_entries(first + columns.atom, state_column, np.ones_like(state_column))

    first = rows.add_block(np.zeros(n), np.zeros(n))
    rows.add_entries(first + columns.atom, state_column, -choices.valence[columns.state])
    rows.add_entries(first + begin, order_column, columns.order)
    rows.add_entries(first + end, order_column, columns.order)

    first = rows.add_block(np.zeros(1), np.zeros(1))
    charge = choices.formal_charge[columns.state]
    rows.add_entries(np.full(n_states, first), state_column, charge)

    n_orders = np.bincount(columns.pair, minlength=len(choices.begin))
    needs_row = (n_orders > 1) | ~columns.may_be_unbonded
    first = rows.add_block(
        np.where(columns.may_be_unbonded[needs_row], 0.0, 1.0), np.ones(int(needs_row.sum()))
    )
    shown = needs_row[columns.pair]
    row_of_pair = np.cumsum(needs_row) - 1
    rows.add_entries(
        first + row_of_pair[columns.pair[shown]],
        order_column[shown],
        np.ones(int(shown.sum()), dtype=np.int64),
    )

    for side in cuts:
        first = rows.add_block(np.ones(1), np.full(1, np.inf))
        crossing = order_column[side[begin] != side[end]]
        rows.add_entries(np.full(len(crossing), first), crossing, np.ones_like(crossing))
    return rows
