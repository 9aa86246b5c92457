"""Exponential solvers of first and second order in the data prediction.

They do not depend on the total variance. Every one is the exact step of the process with some
estimate of the clean data in place of the latest prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.interpolation import Exponential, blend_data
from molgen.flow.state import State

_MIDPOINT = Exponential(-1.0, midpoint=True)


@dataclass(frozen=True)
class DDIM(Solver):
    """Exact step with the latest prediction (Song et al. 2021, arXiv 2010.02502)."""

    name: ClassVar[str] = "ddim"
    order: ClassVar[int] = 1
    jumps: ClassVar[bool] = True

    def advance(self, step: Step, history: History) -> State:
        """Step with the latest prediction."""
        return transfer(history[0], history[0].x0, step.lam, step.offsets)


@dataclass(frozen=True)
class DPMpp2M(Solver):
    """Second-order multistep solver in the data prediction (Lu et al. 2022, arXiv 2211.01095).

    Attributes:
        lower_order_final: Take the last step at first order, better below about 15 steps.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "dpm++2m"
    order: ClassVar[int] = 2

    def advance(self, step: Step, history: History) -> State:
        """Step with the prediction extrapolated from the last two evaluations."""
        return transfer(history[0], self.extrapolated(step, history), step.lam, step.offsets)

    def extrapolated(self, step: Step, history: History) -> State:
        """Frozen prediction of the step."""
        others = history[1 : n_calls(self.order, step, lowered=self.lower_order_final)]
        return blend_data(history[0], others, step.lam, step.offsets, _MIDPOINT)


def n_calls(order: int, step: Step, *, lowered: bool) -> int:
    """Evaluations that a multistep solver looks at.

    Args:
        order: Its order.
        step: The step to take.
        lowered: Whether the order falls to 1 towards the last step.
    """
    return min(order, step.n_steps - step.index) if lowered else order
