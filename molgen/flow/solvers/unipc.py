"""UniPC: multistep predictor whose next network call also corrects it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.exponential import n_calls
from molgen.flow.solvers.interpolation import PREDICTIONS, Exponential, blend_data
from molgen.flow.solvers.multistep import corrected
from molgen.flow.state import Offsets, State

_BH2 = Exponential(-1.0, midpoint=True)


@dataclass(frozen=True)
class UniPC2(Solver):
    """UniPC of order 2 with B(h) = expm1(-h) (Zhao et al. 2023, arXiv 2302.04867).

    The predictor is DPM-Solver++(2M). Each evaluation also corrects the state at which it was
    made, so a step still costs one network call.

    Attributes:
        lower_order_final: Let the predictor's order fall to 1 towards the last step.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "unipc2"
    order: ClassVar[int] = 2

    def advance(self, step: Step, history: History) -> State:
        """Step with the prediction extrapolated from the last evaluations."""
        others = history[1 : n_calls(self.order, step, lowered=self.lower_order_final)]
        clean = blend_data(history[0], others, step.lam, step.offsets, _BH2)
        return transfer(history[0], clean, step.lam, step.offsets)

    def correct(self, offsets: Offsets, history: History) -> State:
        """Redo the step that led here, now that the prediction at its end is known."""
        return corrected(_BH2, PREDICTIONS["x0"], self.order, offsets, history)


@dataclass(frozen=True)
class UniPC3(UniPC2):
    """UniPC of order 3; wants small steps."""

    name: ClassVar[str] = "unipc3"
    order: ClassVar[int] = 3
