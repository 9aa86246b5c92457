"""Exponential solvers in half-log-SNR: exact steps with a frozen or extrapolated prediction.

They do not depend on the total variance. Every one is the exact step of the process with some
estimate of the clean data in place of the latest prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from molgen.errors import UsageError
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.state import Offsets, State, tree_map

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DDIM(Solver):
    """Exact step with the latest prediction (Song et al. 2021, arXiv 2010.02502)."""

    order: ClassVar[int] = 1

    def advance(self, step: Step, history: History) -> State:
        """Step with the latest prediction."""
        return transfer(history[0], history[0].x0, step.lam, step.offsets)


@dataclass(frozen=True)
class Ancestral(Solver):
    """Exact stochastic step: 0 is DDIM, 1 ancestral sampling, infinity full renoising.

    Attributes:
        rho: Strength of the noise, at least 0; 0.3 to 0.5 repairs network errors from about
            eight steps on.
    """

    rho: float = 1.0
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Reject a negative strength."""
        if not self.rho >= 0:
            raise UsageError(f"noise strength rho is {self.rho:g}", "Give rho of 0 or more")

    def advance(self, step: Step, history: History) -> State:
        """Step with the latest prediction and fresh noise."""
        if step.noise is None:
            raise UsageError("a stochastic solver got no noise", "Pass noise= to solve")
        fresh = step.noise(step.index)
        return transfer(history[0], history[0].x0, step.lam, step.offsets, self.rho, fresh)


@dataclass(frozen=True)
class DPMpp2M(Solver):
    """Second-order multistep solver in the data prediction (Lu et al. 2022, arXiv 2211.01095).

    Attributes:
        lower_order_final: Take the last step at first order, better below about 15 steps.
    """

    lower_order_final: bool = True
    order: ClassVar[int] = 2

    def advance(self, step: Step, history: History) -> State:
        """Step with the prediction extrapolated from the last two evaluations."""
        now = history[0]
        clean = now.x0
        if len(history) > 1 and not (step.is_last and self.lower_order_final):
            weight = 0.5 * (step.lam - now.lam) / (now.lam - history[1].lam)
            clean = tree_map(lambda x0, old: x0 + weight * (x0 - old), clean, history[1].x0)
        return transfer(now, clean, step.lam, step.offsets)


@dataclass(frozen=True)
class UniPC2(DPMpp2M):
    """UniPC of order 2 with B(h) = expm1(-h) (Zhao et al. 2023, arXiv 2302.04867).

    The predictor is DPM-Solver++(2M). Each evaluation also corrects the state at which it was
    made, so a step still costs one network call.
    """

    def correct(self, offsets: Offsets, history: History) -> State:
        """Redo the step that led here, now that the prediction at its end is known."""
        if len(history) == 1:
            return history[0].x
        now, past = history[0], history[1]
        if len(history) == 2:
            clean = tree_map(_midway, past.x0, now.x0)
        else:
            ratio = (history[2].lam - past.lam) / (now.lam - past.lam)
            old, new = _corrector_weights(now.lam - past.lam, ratio)

            def combine(m_t: Tensor, m_s: Tensor, m_old: Tensor) -> Tensor:
                return m_t + old / ratio * (m_old - m_t) + new * (m_s - m_t)

            clean = tree_map(combine, past.x0, now.x0, history[2].x0)
        return transfer(past, clean, now.lam, offsets)


def _midway(m_t: Tensor, m_s: Tensor) -> Tensor:
    """Mean of two predictions."""
    return 0.5 * (m_t + m_s)


def _corrector_weights(h: float, ratio: float) -> tuple[float, float]:
    """Solve ``[[1, 1], [ratio, 1]] w = (phi2, 2 phi3) / B`` for the two differences' weights.

    Args:
        h: Width of the step in half-log-SNR.
        ratio: Place of the older evaluation in units of ``h``, negative.
    """
    b = math.expm1(-h)
    phi2 = b / -h - 1
    phi3 = phi2 / -h - 0.5
    first, second = phi2 / b, 2 * phi3 / b
    old = (first - second) / (1 - ratio)
    return old, first - old
