"""The stochastic sampler of EDM: raise the noise a little, then take a Heun step in sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers.base import Evaluation, History, Solver, Step, transfer
from molgen.flow.solvers.interpolation import blend_noise
from molgen.flow.solvers.multistep import fixed_weights
from molgen.flow.solvers.stochastic import check_scale
from molgen.flow.state import Lead, State, expand_like, level, map_modalities

_MOST = math.sqrt(2) - 1


@dataclass(frozen=True)
class EDMChurn(Solver):
    """Stochastic sampler of Karras et al. 2022 (arXiv 2206.00364): churn, then Heun in sigma.

    ``2 n_steps - 1`` network calls, the last step being Euler's.

    Attributes:
        churn: Noise added per run, ``S_churn``, at least 0; a step raises sigma by the factor
            ``1 + min(churn / n_steps, sqrt(2) - 1)``.
        s_noise: Factor of the fresh noise.
        s_min: Smallest sigma = b / a, in units of the data's deviation, at which noise is added.
        s_max: Largest such sigma.
    """

    churn: float = 40.0
    s_noise: float = 1.0
    s_min: float = 0.05
    s_max: float = 50.0
    name: ClassVar[str] = "edm-churn"
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Reject strengths out of range."""
        check_scale("churn", self.churn)
        check_scale("s_noise", self.s_noise)
        check_scale("s_min", self.s_min)
        if not self.s_min <= self.s_max:
            raise UsageError(f"empty churn range [{self.s_min:g}, {self.s_max:g}]", "Swap its ends")

    def nfe(self, n_steps: int) -> int:
        """Two calls per step, one in the last."""
        return 2 * n_steps - 1

    def enter(self, step: Step, x: State) -> tuple[float, State]:
        """Raise the noise before the network is called."""
        sigma = math.exp(-step.start)
        if not (self.churn and self.s_min <= sigma <= self.s_max):
            return step.start, x
        raised = step.start - math.log1p(min(self.churn / step.n_steps, _MOST))

        def renoise(lead: Lead, x_t: Tensor, z: Tensor) -> Tensor:
            lam_t, lam_hat = level(lead, step.start), level(lead, raised)
            (a_t, _), (a_hat, _) = unit_tv(lam_t), unit_tv(lam_hat)
            added = torch.exp(-lam_hat) * torch.sqrt(-torch.expm1(2 * (lam_hat - lam_t)))
            fresh = torch.where(lam_hat < lam_t, self.s_noise * a_hat * added, 0.0)
            return expand_like(a_hat / a_t, x_t) * x_t + expand_like(fresh, x_t) * z

        return raised, map_modalities(renoise, x, step.fresh_noise(), offsets=step.offsets)

    def advance(self, step: Step, history: History) -> State:
        """An Euler step in sigma, then one with the mean of the noise at its two ends."""
        now = history[0]
        ahead = transfer(now, now.x0, step.lam, step.offsets)
        if step.is_last:
            return ahead
        end_x0 = step.denoise(ahead, torch.tensor(step.lam, dtype=torch.float64))
        end = Evaluation(step.lam, ahead, end_x0)
        clean = blend_noise(now, (end,), step.lam, step.offsets, _mean)
        return transfer(now, clean, step.lam, step.offsets)


def _mean(nodes: Sequence[Tensor], h: Tensor) -> list[Tensor]:
    """Half the weight to the prediction at the end."""
    return fixed_weights([0.5] * len(nodes), h)
