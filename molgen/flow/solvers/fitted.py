"""A multistep solver whose coefficients were fitted to one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.interpolation import blend_data
from molgen.flow.solvers.multistep import fixed_weights
from molgen.flow.state import State

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LinearMultistep(Solver):
    """Exact steps with a fitted blend of all predictions so far (OLSS, Duan et al. 2023).

    The state before a step and the predictions so far span what a linear multistep method can
    reach (the starting noise is in that span). A method that is exact for a perfect constant
    prediction has ``x_s = (b_s / b_t) x_t + (a_s - a_t b_s / b_t) sum_j w_j x0_j`` with
    ``sum_j w_j = 1``; the w_j are all that there is to fit.

    Attributes:
        weights: Per step the weights of the predictions, the latest first, at most as many as
            calls were made; what is not listed weighs 0. Each step's sum to 1.
    """

    weights: tuple[tuple[float, ...], ...]
    name: ClassVar[str] = "linear-multistep"
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Reject coefficients that no run could use."""
        if not self.weights:
            raise UsageError("a fitted solver without steps", "Give weights for 1 step or more")
        for index, row in enumerate(self.weights):
            if not 1 <= len(row) <= index + 1:
                raise UsageError(
                    f"step {index} of a fitted solver has {len(row)} weights",
                    f"Give 1 to {index + 1}, one per network call so far",
                )
            if not abs(math.fsum(row) - 1) <= _TOLERANCE:
                raise UsageError(
                    f"the weights of step {index} sum to {math.fsum(row):g}", "Make them sum to 1"
                )

    @property
    def memory(self) -> int:
        """As many calls as any step weighs."""
        return max(map(len, self.weights))

    @property
    def min_steps(self) -> int:
        """The steps that were fitted."""
        return len(self.weights)

    def check(self, grid: TimeGrid) -> None:
        """Reject a grid of another length."""
        check_length(self.name, len(self.weights), grid)

    def advance(self, step: Step, history: History) -> State:
        """Step with this step's blend."""
        row = self.weights[step.index]

        def rule(nodes: Sequence[Tensor], h: Tensor) -> list[Tensor]:
            return fixed_weights(row[1 : len(nodes) + 1], h)

        others = history[1 : len(row)]
        clean = blend_data(history[0], others, step.lam, step.offsets, rule)
        return transfer(history[0], clean, step.lam, step.offsets)


def check_length(name: str, n_steps: int, grid: TimeGrid) -> None:
    """Reject a grid of another length than a solver was made for.

    Raises:
        UsageError: The lengths differ.
    """
    if grid.n_steps != n_steps:
        raise UsageError(
            f"this {name} solver has {n_steps} steps, the grid {grid.n_steps}",
            f"Give a grid of {n_steps} steps",
        )
