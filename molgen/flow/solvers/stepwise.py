"""A multistep solver with a choice of method for every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Solver, Step
from molgen.flow.solvers.fitted import check_length
from molgen.flow.solvers.interpolation import Exponential, prediction_named
from molgen.flow.solvers.multistep import check_order, check_prediction, corrected, predicted
from molgen.flow.state import Offsets, State

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid


@dataclass(frozen=True)
class Rule:
    """How one step is taken.

    Attributes:
        order: 1 to 3, lowered where there are too few calls yet.
        prediction: What is interpolated, ``"x0"`` or ``"eps"``.
        corrector: Whether the next network call corrects the state that the step led to.
    """

    order: int = 2
    prediction: str = "x0"
    corrector: bool = True

    def __post_init__(self) -> None:
        """Reject what does not exist."""
        check_order(self.order)
        prediction_named(self.prediction)


@dataclass(frozen=True)
class Stepwise(Solver):
    """Multistep solver with a rule per step (USF, Liu et al. 2023, arXiv 2312.07243).

    A last step to clean data returns the prediction whatever its rule says.

    Attributes:
        rules: One per step.
    """

    rules: tuple[Rule, ...]
    name: ClassVar[str] = "stepwise"

    def __post_init__(self) -> None:
        """Reject an empty plan."""
        if not self.rules:
            raise UsageError("a stepwise solver without rules", "Give a rule for 1 step or more")

    @property
    def order(self) -> int:
        """Lowest order of its steps."""
        return min(rule.order for rule in self.rules)

    @property
    def memory(self) -> int:
        """All calls, whose number also says which step led to the latest."""
        return len(self.rules) + 1

    @property
    def min_steps(self) -> int:
        """One per rule."""
        return len(self.rules)

    def check(self, grid: TimeGrid) -> None:
        """Reject a grid of another length, or a noise prediction where there is no signal."""
        check_length(self.name, len(self.rules), grid)
        check_prediction(self.rules[0].prediction, grid)

    def advance(self, step: Step, history: History) -> State:
        """Step by this step's rule."""
        rule = self.rules[step.index]
        return predicted(prediction_named(rule.prediction), rule.order, step, history)

    def correct(self, offsets: Offsets, history: History) -> State:
        """Correct the step that led here if its rule says so."""
        rule = self.rules[len(history) - 2]
        if len(history) == 1 or not rule.corrector:
            return history[0].x
        prediction = prediction_named(rule.prediction)
        weights = Exponential(prediction.sign, midpoint=True)
        return corrected(weights, prediction, rule.order, offsets, history)
