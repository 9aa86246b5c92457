"""Exponential Adams methods of any step sizes, and the classic one with fixed coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.exponential import n_calls
from molgen.flow.solvers.interpolation import (
    Exponential,
    Prediction,
    blend_noise,
    prediction_named,
)
from molgen.flow.state import Offsets, State

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

_MAX_ORDER = 3


@dataclass(frozen=True)
class ExpMultistep(Solver):
    """Exponential Adams-Bashforth method in half-log-SNR with exact variable-step coefficients.

    The well-founded form of the pseudo-numerical methods (Liu et al. 2022, arXiv 2202.09778).
    Order 1 is DDIM. Rows whose level rested have no history and take the order they can.

    Attributes:
        order: 1 to 3.
        prediction: ``"x0"``, stable for large steps, or ``"eps"``.
        lower_order_final: Let the order fall to 1 towards the last step.
    """

    order: int = 2
    prediction: str = "x0"
    lower_order_final: bool = True
    name: ClassVar[str] = "adams"

    def __post_init__(self) -> None:
        """Reject what does not exist."""
        check_order(self.order)
        prediction_named(self.prediction)

    def advance(self, step: Step, history: History) -> State:
        """Step with the interpolated prediction."""
        order = n_calls(self.order, step, lowered=self.lower_order_final)
        return predicted(prediction_named(self.prediction), order, step, history)

    def check(self, grid: TimeGrid) -> None:
        """Reject a noise prediction where there is no signal."""
        super().check(grid)
        check_prediction(self.prediction, grid)


@dataclass(frozen=True)
class PLMS(Solver):
    """Pseudo linear multistep method with fixed coefficients (Liu et al. 2022, arXiv 2202.09778).

    For comparison with other software only: the coefficients are right for equal steps of the
    noise level sigma alone; on other grids the method is of second order at best.

    Attributes:
        lower_order_final: Take the last step at first order.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "plms"
    order: ClassVar[int] = 2
    _WEIGHTS: ClassVar[tuple[tuple[float, ...], ...]] = (
        (),
        (-1 / 2,),
        (-16 / 12, 5 / 12),
        (-59 / 24, 37 / 24, -9 / 24),
    )

    @property
    def memory(self) -> int:
        """Four calls."""
        return len(self._WEIGHTS)

    def advance(self, step: Step, history: History) -> State:
        """Step with the fixed blend of the noise predictions."""
        n = 1 if step.is_last and self.lower_order_final else len(history)
        clean = blend_noise(history[0], history[1:n], step.lam, step.offsets, self._rule)
        return transfer(history[0], clean, step.lam, step.offsets)

    def check(self, grid: TimeGrid) -> None:
        """Reject a noise prediction where there is no signal."""
        super().check(grid)
        check_prediction("eps", grid)

    def _rule(self, nodes: Sequence[Tensor], h: Tensor) -> list[Tensor]:
        return fixed_weights(self._WEIGHTS[len(nodes)], h)


def predicted(prediction: Prediction, order: int, step: Step, history: History) -> State:
    """Exponential Adams-Bashforth step."""
    start, others = history[0], history[1:order]
    rule = Exponential(prediction.sign)
    clean = prediction.blend(start, others, step.lam, step.offsets, rule)
    return transfer(start, clean, step.lam, step.offsets)


def corrected(
    rule: Exponential, prediction: Prediction, order: int, leads: Offsets, history: History
) -> State:
    """The step that led to ``history[0]`` once more, the prediction at its end now known.

    Exponential Adams-Moulton step with the network at the predicted state (Zhao et al. 2023,
    arXiv 2302.04867): one order above the predictor's, no call more.
    """
    if len(history) == 1:
        return history[0].x
    now, past = history[0], history[1]
    clean = prediction.blend(past, (now, *history[2 : order + 1]), now.lam, leads, rule)
    return transfer(past, clean, now.lam, leads)


def fixed_weights(weights: Sequence[float], h: Tensor) -> list[Tensor]:
    """The same weights in every row, but 0 in rows that the step takes to clean data."""
    return [torch.where(torch.isfinite(h), torch.full_like(h, weight), 0.0) for weight in weights]


def check_order(order: int) -> None:
    """Reject an order without coefficients."""
    if not 1 <= order <= _MAX_ORDER:
        raise UsageError(f"multistep order {order}", f"Use an order from 1 to {_MAX_ORDER}")


def check_prediction(name: str, grid: TimeGrid) -> None:
    """Reject a prediction that does not exist at the first level."""
    if grid.lam[0] == -torch.inf and not prediction_named(name).at_pure_noise:
        raise UsageError(
            "the grid starts without any signal, where the noise prediction says nothing",
            'Use the prediction type "x0" or a first level of finite log-SNR',
        )
