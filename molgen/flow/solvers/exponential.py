"""Exponential solvers: the exact step of the process with a blend of predictions as clean data.

They do not depend on the total variance. A family has one free choice per step: how the
predictions of the latest calls are blended (`molgen.flow.solvers.blend`), and whether the next
call corrects the state at which it was made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.blend import (
    Exponential,
    Fixed,
    blend_data,
    blend_noise,
    prediction_named,
)
from molgen.flow.state import Offsets, State

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

_MAX_ORDER = 3
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class DDIM(Solver):
    """Exact step with the latest prediction (Song et al. 2021, arXiv 2010.02502)."""

    name: ClassVar[str] = "ddim"
    order: ClassVar[int] = 1
    jumps: ClassVar[bool] = True

    def advance(self, step: Step, history: History) -> State:
        return transfer(history[0], history[0].x0, step.lam, step.offsets)


class Multistep(Solver):
    """Step with a polynomial through the latest predictions: what all but fixed blends share.

    Attributes:
        lower_order_final: Let the order fall to 1 towards the last step, better below 15 steps.
        prediction: What is interpolated, ``"x0"`` or ``"eps"``.
        midpoint: Weights of second order by the midpoint; see `Exponential`.
        corrector: Whether each call also corrects the state at which it was made.
    """

    lower_order_final: bool
    prediction: str = "x0"
    midpoint: ClassVar[bool] = True
    corrector: ClassVar[bool] = False

    def advance(self, step: Step, history: History) -> State:
        """Step with the interpolated prediction."""
        return transfer(history[0], self.extrapolated(step, history), step.lam, step.offsets)

    def extrapolated(self, step: Step, history: History) -> State:
        """Frozen prediction of the step."""
        left = step.n_steps - step.index
        order = min(self.order, left) if self.lower_order_final else self.order
        kind = prediction_named(self.prediction)
        rule = Exponential(kind.sign, self.midpoint)
        return kind.blend(history[0], history[1:order], step.lam, step.offsets, rule)

    def correct(self, offsets: Offsets, history: History) -> State:
        """Redo the step that led here, now that the prediction at its end is known."""
        if not self.corrector:
            return history[0].x
        return _corrected(self.prediction, self.order, offsets, history)

    def check(self, grid: TimeGrid) -> None:
        """Reject a noise prediction where there is no signal."""
        super().check(grid)
        _check_prediction(self.prediction, grid)


@dataclass(frozen=True)
class DPMpp2M(Multistep):
    """DPM-Solver++(2M): second order in the data prediction (Lu et al. 2022, arXiv 2211.01095)."""

    lower_order_final: bool = True
    name: ClassVar[str] = "dpm++2m"
    order: ClassVar[int] = 2


@dataclass(frozen=True)
class UniPC2(Multistep):
    """UniPC of order 2 with B(h) = expm1(-h) (Zhao et al. 2023, arXiv 2302.04867).

    The predictor is DPM-Solver++(2M); a step still costs one network call.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "unipc2"
    order: ClassVar[int] = 2
    corrector: ClassVar[bool] = True


@dataclass(frozen=True)
class UniPC3(UniPC2):
    """UniPC of order 3; wants small steps."""

    name: ClassVar[str] = "unipc3"
    order: ClassVar[int] = 3


@dataclass(frozen=True)
class ExpMultistep(Multistep):
    """Exponential Adams-Bashforth method in half-log-SNR with exact variable-step coefficients.

    The well-founded form of the pseudo-numerical methods (Liu et al. 2022, arXiv 2202.09778).
    Order 1, of 1 to 3, is DDIM. Rows whose level rested have no history and take the order they
    can.
    """

    order: int = 2
    prediction: str = "x0"
    lower_order_final: bool = True
    name: ClassVar[str] = "adams"
    midpoint: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_order(self.order)
        prediction_named(self.prediction)


@dataclass(frozen=True)
class PLMS(Solver):
    """Pseudo linear multistep method with fixed coefficients (Liu et al. 2022, arXiv 2202.09778).

    For comparison with other software only: the coefficients are right for equal steps of the
    noise level sigma alone; on other grids the method is of second order at best.
    """

    lower_order_final: bool = True
    name: ClassVar[str] = "plms"
    order: ClassVar[int] = 2
    memory: ClassVar[int] = 4
    _WEIGHTS: ClassVar[tuple[tuple[float, ...], ...]] = (
        (),
        (-1 / 2,),
        (-16 / 12, 5 / 12),
        (-59 / 24, 37 / 24, -9 / 24),
    )

    def advance(self, step: Step, history: History) -> State:
        n = 1 if step.is_last and self.lower_order_final else len(history)
        rule = Fixed(self._WEIGHTS[n - 1])
        clean = blend_noise(history[0], history[1:n], step.lam, step.offsets, rule)
        return transfer(history[0], clean, step.lam, step.offsets)

    def check(self, grid: TimeGrid) -> None:
        super().check(grid)
        _check_prediction("eps", grid)


@dataclass(frozen=True)
class LinearMultistep(Solver):
    """Exact steps with a fitted blend of all predictions so far (OLSS, Duan et al. 2023).

    ``x_s = (b_s / b_t) x_t + (a_s - a_t b_s / b_t) sum_j w_j x0_j`` with ``sum_j w_j = 1`` is what
    a linear multistep method can reach that is exact for a perfect constant prediction; the w_j
    are all that there is to fit.

    Attributes:
        weights: Per step the weights of the predictions, the latest first, at most as many as
            calls were made; what is not listed weighs 0. Each step's sum to 1.
    """

    weights: tuple[tuple[float, ...], ...]
    name: ClassVar[str] = "linear-multistep"
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
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
        return max(map(len, self.weights))

    @property
    def min_steps(self) -> int:
        return len(self.weights)

    def check(self, grid: TimeGrid) -> None:
        _check_length(self.name, len(self.weights), grid)

    def advance(self, step: Step, history: History) -> State:
        row = self.weights[step.index]
        others, rule = history[1 : len(row)], Fixed(row[1:])
        clean = blend_data(history[0], others, step.lam, step.offsets, rule)
        return transfer(history[0], clean, step.lam, step.offsets)


@dataclass(frozen=True)
class Rule:
    """How one step of `Stepwise` is taken.

    Attributes:
        order: 1 to 3, lowered where there are too few calls yet.
        prediction: What is interpolated, ``"x0"`` or ``"eps"``.
        corrector: Whether the next network call corrects the state that the step led to.
    """

    order: int = 2
    prediction: str = "x0"
    corrector: bool = True

    def __post_init__(self) -> None:
        _check_order(self.order)
        prediction_named(self.prediction)


@dataclass(frozen=True)
class Stepwise(Solver):
    """Multistep solver with a rule per step (USF, Liu et al. 2023, arXiv 2312.07243).

    A last step to clean data returns the prediction whatever its rule says.
    """

    rules: tuple[Rule, ...]
    name: ClassVar[str] = "stepwise"

    def __post_init__(self) -> None:
        if not self.rules:
            raise UsageError("a stepwise solver without rules", "Give a rule for 1 step or more")

    @property
    def order(self) -> int:
        return min(rule.order for rule in self.rules)

    @property
    def memory(self) -> int:
        """All calls, whose number also says which step led to the latest."""
        return len(self.rules) + 1

    @property
    def min_steps(self) -> int:
        return len(self.rules)

    def check(self, grid: TimeGrid) -> None:
        """Reject a grid of another length, or a noise prediction where there is no signal."""
        _check_length(self.name, len(self.rules), grid)
        _check_prediction(self.rules[0].prediction, grid)

    def advance(self, step: Step, history: History) -> State:
        rule, start = self.rules[step.index], history[0]
        kind = prediction_named(rule.prediction)
        weights = Exponential(kind.sign)
        clean = kind.blend(start, history[1 : rule.order], step.lam, step.offsets, weights)
        return transfer(start, clean, step.lam, step.offsets)

    def correct(self, offsets: Offsets, history: History) -> State:
        rule = self.rules[len(history) - 2]
        if len(history) == 1 or not rule.corrector:
            return history[0].x
        return _corrected(rule.prediction, rule.order, offsets, history)


def _corrected(prediction: str, order: int, leads: Offsets, history: History) -> State:
    """The step that led to ``history[0]`` once more, the prediction at its end now known.

    Exponential Adams-Moulton step with the network at the predicted state (Zhao et al. 2023,
    arXiv 2302.04867): one order above the predictor's, no call more.
    """
    if len(history) == 1:
        return history[0].x
    now, past, kind = history[0], history[1], prediction_named(prediction)
    rule = Exponential(kind.sign, midpoint=True)
    clean = kind.blend(past, (now, *history[2 : order + 1]), now.lam, leads, rule)
    return transfer(past, clean, now.lam, leads)


def _check_length(name: str, n_steps: int, grid: TimeGrid) -> None:
    """Reject a grid of another length than a solver was made for."""
    if grid.n_steps != n_steps:
        raise UsageError(
            f"this {name} solver has {n_steps} steps, the grid {grid.n_steps}",
            f"Give a grid of {n_steps} steps",
        )


def _check_order(order: int) -> None:
    """Reject an order without coefficients."""
    if not 1 <= order <= _MAX_ORDER:
        raise UsageError(f"multistep order {order}", f"Use an order from 1 to {_MAX_ORDER}")


def _check_prediction(name: str, grid: TimeGrid) -> None:
    """Reject a prediction that does not exist at the first level."""
    if grid.lam[0] == -torch.inf and not prediction_named(name).at_pure_noise:
        raise UsageError(
            "the grid starts without any signal, where the noise prediction says nothing",
            'Use the prediction type "x0" or a first level of finite log-SNR',
        )
